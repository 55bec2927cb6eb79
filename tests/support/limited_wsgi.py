"""What gunicorn serves in tests of limits: `wsgi.py`, with the `Limits` that an environment variable holds.

A test starts it with `start_gateway(config, **limits(answer_bytes=1000))`.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace

from flask import Flask

from app.bootstrap import build_gateway
from app.config.limits import Limits
from app.config.loader import load_settings
from app.config.settings import Settings
from app.factory import create_app

VARIABLE = "GATEWAY_TEST_LIMITS"


def limits(**changed: float) -> dict[str, str]:
    """Arguments of `GatewayProcess` for a gateway with these `Limits` and the defaults of the others."""
    return {"app": f"{__name__}:build()", VARIABLE: json.dumps(changed)}


def build() -> Flask:
    """The application. gunicorn calls this in its worker."""
    return create_app(build_gateway(load(), load))


def load() -> Settings:
    """The settings of the configuration, with the test's limits."""
    given = Limits(**json.loads(os.environ[VARIABLE]))
    return replace(load_settings(os.environ), limits=given)
