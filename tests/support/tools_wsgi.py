"""What gunicorn serves in tests of the agents' loop: a gateway with some tools that are easy to direct.

`wait` works until it is cancelled, `deaf` does not even notice that; both tell that they are at work. `meet`
returns once as many calls of it as its arguments say are at work; `say` returns its text, `count` how often
it was called, `picture` an image.
`tell` tells what it does, as often and as long as its arguments say, and returns a text of `size` characters.
"""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from typing import Any

from app.bootstrap import build_gateway
from app.config.loader import load_settings
from app.factory import create_app
from app.messages import ImagePart, ToolSpec
from app.tools.base import Invocation, Tool, ToolOutput

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
SECONDS = 60.0

_calls: list[str] = []
_met = threading.Condition()
_at_work = 0


def _wait(invocation: Invocation, _: dict[str, Any]) -> ToolOutput:
    invocation.update("at work")
    invocation.cancel.sleep(SECONDS)
    return ToolOutput("nobody came")


def _deaf(invocation: Invocation, arguments: dict[str, Any]) -> ToolOutput:
    invocation.update("at work")
    time.sleep(arguments.get("seconds", SECONDS))
    return ToolOutput("done")


def _meet(invocation: Invocation, arguments: dict[str, Any]) -> ToolOutput:
    global _at_work
    with _met:
        _at_work += 1
        _met.notify_all()
        together = _met.wait_for(lambda: _at_work >= arguments["count"], SECONDS)
    return ToolOutput(f"{arguments.get('name')} was {'not alone' if together else 'alone'}")


def _say(_: Invocation, arguments: dict[str, Any]) -> ToolOutput:
    return ToolOutput(arguments["text"] * arguments.get("times", 1))


def _count(_: Invocation, __: dict[str, Any]) -> ToolOutput:
    _calls.append("")
    return ToolOutput(str(len(_calls)))


def _picture(_: Invocation, __: dict[str, Any]) -> ToolOutput:
    return ToolOutput("A picture.", images=(ImagePart("image/png", PIXEL),))


def _tell(invocation: Invocation, arguments: dict[str, Any]) -> ToolOutput:
    times, seconds = arguments.get("times", 1), arguments.get("seconds", 0)
    pauses = min(times, 20)
    for number in range(1, times + 1):
        invocation.update(f"begun\nstep {number}")
        if number % (times // pauses) == 0:
            invocation.cancel.sleep(seconds / pauses)
    return ToolOutput("x" * arguments.get("size", 4), {"steps": times})


def _tool(name: str, run: Any, **options: Any) -> Tool:
    return Tool(spec=ToolSpec(name, name, {"type": "object"}), summary=name, run=run, **options)


_load = partial(load_settings, os.environ)
_gateway = build_gateway(_load(), _load)
_gateway.tools.registry.add(
    _tool("wait", _wait),
    _tool("deaf", _deaf),
    _tool("short", _wait, seconds=0.2),
    _tool("meet", _meet, is_parallel=True),
    _tool("say", _say),
    _tool("count", _count),
    _tool("picture", _picture),
    _tool("tell", _tell, max_chars=2_000_000),
)
app = create_app(_gateway)
