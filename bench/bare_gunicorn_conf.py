"""The gateway's own gunicorn configuration without its hooks, for `bench/bare_stack.py`."""

from pathlib import Path

exec(compile((Path(__file__).parents[1] / "gunicorn.conf.py").read_text(), "gunicorn.conf.py", "exec"))

del on_starting, post_worker_init, pre_request, worker_exit  # noqa: F821
