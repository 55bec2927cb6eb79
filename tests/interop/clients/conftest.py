from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.clients.client import VERSIONS, Client
from tests.support.gateway import GatewayProcess


@pytest.fixture(params=VERSIONS)
def client(request: pytest.FixtureRequest, gateway: GatewayProcess, tmp_path: Path) -> Client:
    """Each of the published command lines in turn."""
    return Client(request.param, tmp_path, gateway)
