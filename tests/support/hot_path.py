"""Counts what one request makes a worker do: function calls, Python's and C's, and bytecode instructions; and
names what it leaves to the garbage collector. A program of its own, for it needs a process that gevent has
patched: `python -m tests.support.hot_path [load]`.

The application is called as the server would, with a real upstream on loopback. A load's name alone lists
what is called.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import json  # noqa: E402
import logging.config  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Callable  # noqa: E402
from functools import partial  # noqa: E402
from io import BytesIO  # noqa: E402
from pathlib import Path  # noqa: E402
from types import CodeType, FrameType  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

from app.bootstrap import build_gateway  # noqa: E402
from app.config.loader import load_settings  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.logs.lines import logging_config  # noqa: E402
from bench.gateway import TOKEN, environment, write_configuration  # noqa: E402
from bench.loads import LOADS, Load, body_of  # noqa: E402
from bench.subjects import base_url, start_upstream  # noqa: E402
from bench.upstream import MODELS  # noqa: E402

Calls = Counter[Any]
REQUESTS = 20
WARM_UP = 5
COUNTED = ("plain", "burst stream", "400 messages", "plain, user")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        upstream = start_upstream(folder)
        try:
            write_configuration(folder, 1, base_url(upstream.process.port), tuple(MODELS))
            os.environ.clear()
            os.environ.update(environment(folder))
            settings = load_settings(os.environ)
            logging.config.dictConfig(logging_config("info", "json"))
            app = create_app(build_gateway(settings, partial(load_settings, os.environ)))
            wanted = sys.argv[1:] or COUNTED
            for load in (load for load in LOADS if load.name in wanted):
                calls, instructions = count(app, load)
                if sys.argv[1:]:
                    tell(calls)
                counts = {"calls": calls.total(), "instructions": instructions}
                print(json.dumps([load.name, {**counts, "garbage": garbage(app, load)}]))
        finally:
            upstream.process.stop()


def garbage(app: Callable[..., Any], load: Load) -> list[str]:
    """The gateway's own types among the objects that only the garbage collector can free after a request."""
    body = request_body(load)
    gc.collect()
    gc.disable()
    try:
        ask(app, body)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        types = {type(one) for one in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    return sorted(one.__qualname__ for one in types if one.__module__.startswith("app."))


def count(app: Callable[..., Any], load: Load) -> tuple[Calls, int]:
    """Of the cheapest request of several: an answer that came in two pieces costs another read."""
    body = request_body(load)
    for _ in range(WARM_UP):
        ask(app, body)
    calls = min((count_calls(app, body) for _ in range(REQUESTS)), key=lambda calls: calls.total())
    return calls, min(count_instructions(app, body) for _ in range(REQUESTS))


def request_body(load: Load) -> bytes:
    return body_of(load, f"openclaw:{load.model}", "somebody" if load.user else None)


def count_calls(app: Callable[..., Any], body: bytes) -> Calls:
    calls: Calls = Counter()

    def note(frame: FrameType, event: str, what: Any) -> None:
        if event == "call":
            calls[frame.f_code] += 1
        elif event == "c_call":
            calls[getattr(what, "__qualname__", what)] += 1

    sys.setprofile(note)
    try:
        ask(app, body)
    finally:
        sys.setprofile(None)
    return calls


def count_instructions(app: Callable[..., Any], body: bytes) -> int:
    """Bytecode instructions: a loop over a conversation shows here, even if it calls nothing."""
    count = 0

    def note(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if event == "opcode":
            count += 1
        elif event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return note

    sys.settrace(note)
    try:
        ask(app, body)
    finally:
        sys.settrace(None)
    return count


def ask(app: Callable[..., Any], body: bytes) -> None:
    """In a greenlet of its own, as in the server; over once the run has ended too."""
    answer = gevent.spawn(_ask, app, body).get()
    time.sleep(0.002)
    assert answer.startswith(b"200"), answer


def _ask(app: Callable[..., Any], body: bytes) -> bytes:
    statuses: list[str] = []
    pieces = app(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/v1/chat/completions",
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_HOST": "127.0.0.1",
            "HTTP_AUTHORIZATION": f"Bearer {TOKEN}",
            "wsgi.input": BytesIO(body),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
        },
        lambda status, headers: statuses.append(status),
    )
    try:
        text = b"".join(pieces)
    finally:
        pieces.close()
    return statuses[0].encode() + text


def tell(calls: Calls) -> None:
    for what, number in calls.most_common():
        if isinstance(what, CodeType):
            path = what.co_filename.rpartition("site-packages/")[2].rpartition("/main/")[2]
            what = f"{path}:{what.co_firstlineno} {what.co_qualname}"
        print(f"{number:5} {what}")


if __name__ == "__main__":
    main()
