"""What an answer's headers tell about its run: which agent and session it was, why that one, and how long."""

from __future__ import annotations

import re
from urllib.parse import quote

from app.runs.run import Run

READABLE = ":/@!$&'()*+,;=?# "  # left as they are in a header; all else that is not a letter is escaped
_READABLE_KEY = re.compile(r"[A-Za-z0-9_.~:/@-]*", re.ASCII)


def run_headers(run: Run) -> tuple[tuple[str, str], ...]:
    """`X-OpenClaw-Session-Source`: `new` (nothing is stored), `user` or `key`."""
    return (
        ("X-OpenClaw-Run-Id", run.id),
        ("X-OpenClaw-Agent-Id", run.agent.id),
        ("X-OpenClaw-Session-Key", _quote(run.session_key)),
        ("X-OpenClaw-Session-Source", run.request.route.source),
        *_server_timing(run),
    )


def _quote(key: str) -> str:
    return key if _READABLE_KEY.fullmatch(key) else quote(key, safe=READABLE)


def _server_timing(run: Run) -> tuple[tuple[str, str], ...]:
    """Milliseconds from the request's acceptance; a stream's headers leave before most is known."""
    begin = run.accepted_at
    stages = (("queue", run.dequeued_at), ("first-token", run.first_output_at), ("total", run.ended_at))
    told = [f"{name};dur={(moment - begin) * 1000:.1f}" for name, moment in stages if moment is not None]
    return (("Server-Timing", ", ".join(told)),) if told else ()
