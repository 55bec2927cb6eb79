"""The name that a client of the Gateway protocol hears of a session it has named itself."""

from __future__ import annotations

import uuid

import pytest

from tests.support.gateway import GatewayProcess
from tests.support.operator import operator


@pytest.mark.parametrize(("protocol", "heard"), [(3, "acp:Made-Up"), (4, "agent:main:acp:made-up")])
def test_clients_of_version_3_hear_the_name_they_wrote(
    gateway: GatewayProcess, protocol: int, heard: str
) -> None:
    run_id = str(uuid.uuid4())
    params = {"sessionKey": "acp:Made-Up", "message": "hi", "idempotencyKey": run_id}
    with (
        operator(gateway, minProtocol=protocol, maxProtocol=protocol) as client,
        operator(gateway, minProtocol=3, maxProtocol=3) as other,
    ):
        client.call("chat.send", params)
        assert client.until("chat", runId=run_id, state="final")["sessionKey"] == heard
        final = other.until("chat", runId=run_id, state="final")
        assert final["sessionKey"] == "agent:main:acp:made-up"


def test_the_last_name_written_counts(gateway: GatewayProcess) -> None:
    with operator(gateway, minProtocol=3, maxProtocol=3) as client:
        for name in ("main", "agent:main:main", "Main"):
            run_id = str(uuid.uuid4())
            client.call("chat.send", {"sessionKey": name, "message": "hi", "idempotencyKey": run_id})
            assert client.until("chat", runId=run_id, state="final")["sessionKey"] == name
