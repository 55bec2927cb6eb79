"""What gunicorn serves: `gunicorn -c gunicorn.conf.py wsgi:app`."""

import os
from functools import partial

from app.bootstrap import build_gateway
from app.config.loader import load_settings
from app.factory import create_app
from app.runtime import metrics_folder, worker_settings

_settings, _stale = worker_settings(os.environ)
app = create_app(
    build_gateway(
        _settings, partial(load_settings, os.environ), stale=_stale, metrics_folder=metrics_folder()
    )
)
