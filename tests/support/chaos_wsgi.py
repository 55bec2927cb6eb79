"""What gunicorn serves in the test of bad luck: a gateway with one tool that changes something.

`note` appends its argument to the file that CHAOS_NOTES names, before and after a short pause: a worker that
is killed has noted it or not, and nobody may do it again.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from app.bootstrap import build_gateway
from app.config.loader import load_settings
from app.factory import create_app
from app.messages import ToolSpec
from app.runtime import metrics_folder, worker_settings
from app.tools.base import Invocation, Tool, ToolOutput


def _note(invocation: Invocation, arguments: dict[str, Any]) -> ToolOutput:
    invocation.cancel.sleep(0.02)
    handle = os.open(os.environ["CHAOS_NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, f"{arguments['name']}\n".encode())
    os.close(handle)
    invocation.cancel.sleep(0.1)
    return ToolOutput("noted")


_settings, _stale = worker_settings(os.environ)
_gateway = build_gateway(
    _settings, partial(load_settings, os.environ), stale=_stale, metrics_folder=metrics_folder()
)
_spec = ToolSpec("note", "Notes something down.", {"type": "object"})
_gateway.tools.registry.add(Tool(spec=_spec, summary="Notes something down.", run=_note))
app = create_app(_gateway)
