"""`python -m app …`: the gateway's command line."""

from __future__ import annotations

import sys

from app.cli.main import main


def patch_process() -> None:
    """Patches the standard library as gunicorn.conf.py does: a run takes the same path in every process.

    To be called while ssl, socket and threading are not yet imported.
    """
    from gevent import get_hub, monkey  # noqa: PLC0415 - most commands run without gevent, and start faster

    monkey.patch_all()
    # Ctrl-C is raised in the main greenlet, wherever it arrives: without this, gevent prints a traceback.
    get_hub().NOT_ERROR = (*get_hub().NOT_ERROR, KeyboardInterrupt)


if __name__ == "__main__":
    sys.exit(main(before_local_run=patch_process))
