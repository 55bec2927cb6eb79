"""`python -m app …`: the gateway's command line."""

# Before anything else, as in gunicorn.conf.py: a run takes the same path whoever asks for it.
from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

from app.cli.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
