"""The child process that runs the model: `python -m app.providers.local.serve WEIGHTS ADDRESS_FILE`.

Serves llama.cpp's OpenAI-compatible HTTP on a free loopback port behind a random key, and publishes both
in ADDRESS_FILE when it can answer. Lives as long as somebody holds the other end of its stdin, and must
never outlive the process that started it.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import xllamacpp

from app.config.apis import LOCAL_MODEL

SLOTS = 4
SLOT_TOKENS = 4096
ANSWER_TOKENS = 1024  # for callers who set no limit: a small model may repeat itself for ever
MAX_THREADS = 4  # more of them do not make a model of this size faster
ERRORS_ONLY = 1
PARENT_CHECK_SECONDS = 1.0


def main(weights: str, address_file: str) -> None:
    parent = os.getppid()
    # Both reach the whole process group or dyno; the gateway lets answers end first, then ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(5)  # the gateway that feeds our answers to clients goes first
    key = secrets.token_urlsafe(32)
    server = xllamacpp.Server(server_params(weights, key))
    port = urlsplit(server.listening_address).port
    publish(Path(address_file), {"port": port, "key": key, "pid": os.getpid()})
    wait_until_orphaned(parent)
    Path(address_file).unlink(missing_ok=True)
    os._exit(0)  # answers under way have nobody to go to, so the server's own orderly end is not awaited


def server_params(weights: str, key: str) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = {LOCAL_MODEL}
    params.port = 0
    params.api_keys = [key]
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = ERRORS_ONLY
    params.cpuparams.n_threads = min(MAX_THREADS, os.cpu_count() or 1)
    # Each slot has its own share of the context: when slots share one and it runs full, every answer
    # under way fails, whoever filled it.
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * SLOT_TOKENS
    params.kv_unified = False
    params.fit_params = False
    params.cache_ram_mib = 0  # else old conversations are kept in up to 8 GiB of memory
    params.n_predict = ANSWER_TOKENS
    # Cool, and discouraged from going round in circles: of all settings tried, the most right answers.
    params.sampling.temp = 0.1
    params.sampling.top_p = 0.9
    params.sampling.penalty_repeat = 1.05
    params.sampling.dry_multiplier = 0.8
    return params


def publish(file: Path, address: dict[str, object]) -> None:
    """Write the address where only our own user can read it; a reader sees all of it or nothing."""
    fresh = file.with_suffix(".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as out:
        json.dump(address, out)
    fresh.rename(file)


def wait_until_orphaned(parent: int) -> None:
    """Block until stdin ends, or until the parent is gone though somebody still holds our stdin open.

    Not the kernel's parent-death signal: that one comes when the thread that started us ends.
    """
    while os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], PARENT_CHECK_SECONDS)
        if readable and not os.read(sys.stdin.fileno(), 1024):
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
