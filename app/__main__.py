"""`python -m app …`: the gateway's command line."""

# Before anything else, as in gunicorn.conf.py: a run takes the same path whoever asks for it.
from gevent import get_hub, monkey

monkey.patch_all()

# Ctrl-C is raised in the main greenlet, wherever it is noticed: no word of it on standard error.
get_hub().NOT_ERROR = (*get_hub().NOT_ERROR, KeyboardInterrupt)

import sys  # noqa: E402

from app.cli.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
