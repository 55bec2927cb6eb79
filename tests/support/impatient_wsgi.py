"""The application as `wsgi.py` makes it, but a client that reads nothing is disconnected after a second."""

from __future__ import annotations

import os
from dataclasses import replace

from app.bootstrap import build_gateway
from app.config.limits import Limits
from app.config.loader import load_settings
from app.config.settings import Settings
from app.factory import create_app


def _load() -> Settings:
    return replace(load_settings(os.environ), limits=Limits(write_seconds=1.0))


app = create_app(build_gateway(_load(), _load))
