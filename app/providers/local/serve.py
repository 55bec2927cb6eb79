"""The child process that runs the model: `python -m app.providers.local.serve WEIGHTS ADDRESS_FILE`.

Runs llama.cpp's OpenAI-compatible server on a free loopback port, protected by a random key, and writes both
to ADDRESS_FILE once it can answer. Ends when its stdin ends or the process that started it has ended.
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

MAX_PARALLEL = 4  # answers at a time
MAX_CONTEXT_TOKENS = 4096  # of one conversation and its answer
MAX_ANSWER_TOKENS = 1024  # unless the caller sets a limit: a small model may repeat itself for ever
MAX_THREADS = 4  # more do not make a model of this size faster
ERRORS_ONLY = 1  # llama.cpp's level of logging
PARENT_CHECK_SECONDS = 1.0


def main(weights: str, address_file: str) -> None:
    parent = os.getppid()
    # Both signals may be sent to the whole process group (Heroku does). The gateway lets answers end and then
    # ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(5)  # the gateway, which passes the answers on, has priority
    key = secrets.token_urlsafe(32)
    server = xllamacpp.Server(server_params(weights, key))
    port = urlsplit(server.listening_address).port
    publish(Path(address_file), {"port": port, "key": key, "pid": os.getpid()})
    wait_until_orphaned(parent)
    Path(address_file).unlink(missing_ok=True)
    os._exit(0)  # not the server's own orderly end: nobody reads the answers under way


def server_params(weights: str, key: str) -> Any:
    """llama.cpp's settings."""
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
    # Each answer has its own part of the context. If they shared one, and one answer filled it, all answers
    # under way would fail.
    params.n_parallel = MAX_PARALLEL
    params.n_ctx = MAX_PARALLEL * MAX_CONTEXT_TOKENS
    params.kv_unified = False
    params.fit_params = False
    params.cache_ram_mib = 0  # by default, old conversations take up to 8 GiB of memory
    params.n_predict = MAX_ANSWER_TOKENS
    # A low temperature and penalties for repetition: of the settings tried, those with most right answers.
    params.sampling.temp = 0.1
    params.sampling.top_p = 0.9
    params.sampling.penalty_repeat = 1.05
    params.sampling.dry_multiplier = 0.8
    return params


def publish(file: Path, address: dict[str, object]) -> None:
    """Write the address to a file that only our own user can read; it appears complete or not at all."""
    new_file = file.with_suffix(".new")
    fd = os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as out:
        json.dump(address, out)
    new_file.rename(file)


def wait_until_orphaned(parent: int) -> None:
    """Block until stdin ends, or the parent has ended although another process still has our stdin open.

    The kernel's parent-death signal is of no use: it comes when the thread that started us ends.
    """
    while os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin], [], [], PARENT_CHECK_SECONDS)
        if readable and not os.read(sys.stdin.fileno(), 1024):
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
