"""The machine and the versions that the figures were measured with."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "gunicorn",
    "gevent",
    "Flask",
    "Werkzeug",
    "geventhttpclient",
    "orjson",
    "SQLAlchemy",
    "marshmallow",
)


def describe_machine() -> dict[str, object]:
    """As in the JSON document. `load_before` is the load average of the last minute."""
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
