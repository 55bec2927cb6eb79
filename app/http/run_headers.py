"""The headers of an answer that describe its run: agent, session, timings (docs/http.md#headers)."""

from __future__ import annotations

import re
from urllib.parse import quote

from app.runs.repeats import AnyRun
from app.runs.run import Run

SAFE = ":/@!$&'()*+,;=?# "  # not percent-encoded in a header, besides letters, digits and `_.-~`
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.~:/@-]*", re.ASCII)


def run_headers(run: AnyRun) -> tuple[tuple[str, str], ...]:
    """Names and values. `X-OpenClaw-Session-Source` is `new` (nothing is stored), `user` or `key`; it and the
    times are left out of an answer that is given again.
    """
    names = (
        ("X-OpenClaw-Run-Id", run.id),
        ("X-OpenClaw-Agent-Id", run.agent_id),
        ("X-OpenClaw-Session-Key", _quote(run.session_key)),
    )
    if not isinstance(run, Run):
        return names
    return (*names, ("X-OpenClaw-Session-Source", run.request.route.source), *_server_timing(run))


def _quote(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else quote(key, safe=SAFE)


def _server_timing(run: Run) -> tuple[tuple[str, str], ...]:
    """Milliseconds since the run was accepted; a stream's headers are sent before most is known."""
    begin = run.accepted_at
    stages = (("queue", run.dequeued_at), ("first-token", run.first_output_at), ("total", run.ended_at))
    entries = [f"{name};dur={(moment - begin) * 1000:.1f}" for name, moment in stages if moment is not None]
    return (("Server-Timing", ", ".join(entries)),) if entries else ()
