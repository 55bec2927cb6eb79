"""How gunicorn serves the gateway: values, each with its reason where that is not plain."""

# Before anything else: a module that has seen the unpatched socket or ssl would block every stream.
from gevent import monkey

monkey.patch_all()

import os  # noqa: E402

from app.http.server_errors import refuse_ambiguous_headers  # noqa: E402
from app.http.server_requests import finish_request  # noqa: E402
from app.logs.lines import logging_config  # noqa: E402
from app.runtime import (  # noqa: E402
    ServerLog,
    check_listeners,
    check_server,
    count_workers,
    forget_worker,
    limit_workers,
    start_settings,
    start_worker,
    stop_server,
    stop_worker,
)

settings = start_settings(os.environ)
host = settings.gateway.host

bind = f"[{host}]:{settings.gateway.port}" if ":" in host else f"{host}:{settings.gateway.port}"
worker_class = "gevent"
workers = count_workers(os.environ)
worker_connections = 2000
timeout = 120  # how long the hub may be stuck, not how long a request may take
graceful_timeout = 25  # Heroku kills at 30 s
keepalive = 100 if "DYNO" in os.environ else 5  # Heroku's router keeps its connections for 90 s
max_requests = 0  # recycling a worker would cut its streams
preload_app = False
control_socket_disable = True
limit_request_line = 8190
limit_request_fields = 64
forwarded_allow_ips = ""  # the gateway weighs forwarding headers itself
forwarder_headers = ""
logger_class = ServerLog
logconfig_dict = logging_config(settings.logging.level, settings.logging.format)

on_starting = check_server
nworkers_changed = limit_workers
when_ready = on_reload = check_listeners
post_worker_init = start_worker
pre_request = refuse_ambiguous_headers
post_request = finish_request
worker_exit = stop_worker
child_exit = forget_worker
on_exit = stop_server
