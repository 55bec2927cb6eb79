"""What an answer's headers tell about its run: which agent and session it was, why that one, and how long."""

from __future__ import annotations

from urllib.parse import quote

from flask import Response, g

from app.runs.run import Run

READABLE = ":/@!$&'()*+,;=?# "  # left as they are in a header; all else that is not a letter is escaped

STAGES = (("queue", "entered_at"), ("first-token", "spoke_at"), ("total", "ended_at"))


def remember_run(run: Run) -> None:
    """From now on the request's answer, an error too, tells of `run`."""
    g.run = run


def current_run() -> Run | None:
    """The run that this request has started, if it has."""
    run: Run | None = g.get("run")
    return run


def add_run_headers(response: Response, run: Run) -> None:
    """`X-OpenClaw-Session-Source`: `new` (nothing is stored), `user` or `key`."""
    headers = response.headers
    headers.add("X-OpenClaw-Run-Id", run.id)
    headers.add("X-OpenClaw-Agent-Id", run.agent.id)
    headers.add("X-OpenClaw-Session-Key", quote(run.session_key, safe=READABLE))
    headers.add("X-OpenClaw-Session-Source", run.request.route.source)
    if timing := _server_timing(run):
        headers.add("Server-Timing", timing)


def _server_timing(run: Run) -> str:
    """Milliseconds from the request's acceptance; a stream's headers leave before most is known."""
    told = ((name, getattr(run, moment)) for name, moment in STAGES)
    return ", ".join(
        f"{name};dur={(moment - run.accepted_at) * 1000:.1f}" for name, moment in told if moment is not None
    )
