"""Bounds that no key in the file sets. Tests pass smaller ones (tests/support/limited_wsgi.py)."""

from __future__ import annotations

from dataclasses import dataclass

MiB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes and times are seconds.

    `answer_bytes` is the memory an answer may take until all who follow its run have it; `ended_runs` and
    `ended_run_seconds` bound what is remembered of runs; `write_seconds` is how long a client may take
    nothing. `kept_event_bytes` and `kept_event_seconds` bound the events of ended runs, which can be read
    until then, and `run_stream_bytes` those of one run in Redis.
    """

    answer_bytes: int = 20 * MiB
    ended_runs: int = 1000
    ended_run_seconds: float = 300.0
    kept_event_bytes: int = 64 * MiB
    kept_event_seconds: float = 3600.0
    run_stream_bytes: int = 32 * MiB
    write_seconds: float = 120.0  # longer than any keep-alive, whose wait for the next request it also bounds
