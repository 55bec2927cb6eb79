"""What is measured: ways from a client to the same model. Each is one process tree on a loopback port."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.gateway import TOKEN, environment, spawn_gateway, write_configuration
from bench.generator import Requests
from bench.loads import Load, body_of, post, users
from bench.processes import Process, clean_environment, free_port, gunicorn
from bench.upstream import MODELS

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  client_body_buffer_size 1m; keepalive_requests 10000000;
  upstream model {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """`name_model` turns the upstream's name of a model into the one to ask this subject for.

    A slow one is measured until it has given so many `answers`, not for a number of seconds.
    """

    name: str
    process: Process
    name_model: Callable[[str], str] = str
    headers: dict[str, str] = field(default_factory=dict)
    has_sessions: bool = False
    many_streams: bool = False
    most_at_once: int = 1000
    answers: int = 0

    def supports(self, load: Load, at_once: int) -> bool:
        return at_once <= self.most_at_once and (self.has_sessions or not load.user)

    def requests(self, load: Load, salt: str) -> Requests:
        """The requests of each connection. `salt` makes the users of each measurement different ones."""

        def ask(connection: int) -> Iterator[bytes]:
            model = self.name_model(load.model)
            if not load.user:
                return itertools.repeat(post(body_of(load, model), self.headers))
            return (post(body_of(load, model, user), self.headers) for user in users(salt, connection))

        return ask


def start_upstream(folder: Path) -> Subject:
    """The model itself, asked directly."""
    port = free_port()
    command = [sys.executable, "-m", "bench.upstream", str(port)]
    return _ready(Subject("upstream alone", Process("upstream", command, port, folder, clean_environment())))


def start_nginx(folder: Path, upstream: int) -> Subject | None:
    """nginx before the model at that port; None where it is not installed."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        return None
    port, configured = free_port(), folder / "nginx.conf"
    configured.write_text(NGINX.format(folder=folder, port=port, upstream=upstream))
    command = [found, "-c", str(configured), "-p", str(folder)]
    return _ready(Subject("nginx", Process("nginx", command, port, folder, clean_environment())))


def start_bare_stack(folder: Path, upstream: int) -> Subject:
    """It reads the gateway's configuration, as gunicorn's configuration file asks for one."""
    folder = folder / "bare"
    port = free_port()
    write_configuration(folder, port, base_url(upstream), tuple(MODELS))
    command = gunicorn("-c", "bench/bare_gunicorn_conf.py", "bench.bare_stack:app")
    variables = {**environment(folder), "BENCH_UPSTREAM": base_url(upstream)}
    return _ready(Subject("bare stack", Process("bare", command, port, folder, variables), many_streams=True))


def start_gateway(folder: Path, upstream: int, name: str = "this gateway", **variables: str) -> Subject:
    """This gateway before the model at that port."""
    process = spawn_gateway(folder / "gateway", base_url(upstream), tuple(MODELS), **variables)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    names = "openclaw:{}".format
    return _ready(Subject(name, process, names, headers, has_sessions=True, many_streams=True))


def base_url(port: int) -> str:
    """The base URL of the upstream's API."""
    return f"http://127.0.0.1:{port}/v1"


def _ready(subject: Subject) -> Subject:
    subject.process.wait_for("/health")
    return subject
