"""What gunicorn serves in tests of tool events: each run has those of one tool call after its start.

No agent has tools of its own yet, so the events are added to the run's log as it is published.
"""

from __future__ import annotations

import os
from functools import partial

from app.bootstrap import build_gateway
from app.config.loader import load_settings
from app.events.log import EventLog
from app.events.types import ToolCalled, ToolReturned
from app.factory import create_app
from app.messages import ToolCall

CALL = ToolCall("call_1", "weather", '{"city": "Oslo"}')


def add_tool_call(_run_id: str, log: EventLog) -> None:
    log.append(ToolCalled(CALL))
    log.append(ToolReturned(CALL.id, CALL.name, "cold"))


_load = partial(load_settings, os.environ)
_gateway = build_gateway(_load(), _load)
_gateway.runs.bus.subscribe(add_tool_call)
app = create_app(_gateway)
