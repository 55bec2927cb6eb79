"""Sessions over HTTP on one host, while their runs and followers are on another one."""

from __future__ import annotations

from tests.e2e.test_sessions_http import call, get, say
from tests.support.gateway import GatewayProcess
from tests.support.operator import operator
from tests.support.provider import PATIENCE, ScriptedProvider, hang, text, wait_until


def test_followers_on_the_other_host_are_told(here: GatewayProcess, there: GatewayProcess) -> None:
    say(here, "hi", "notes")
    key = "agent:main:notes"
    with operator(there) as client:
        client.call("sessions.subscribe")
        assert call(here, "PATCH", "/notes", {"displayName": "Mine"}).status == 200
        assert client.until("sessions.changed", sessionKey=key, reason="patch")["session"]
        fork = call(here, "POST", "/notes/fork").json["key"]
        assert client.until("sessions.changed", sessionKey=fork, reason="create")
        assert call(here, "DELETE", "/notes").status == 200
        assert client.until("sessions.changed", sessionKey=key, reason="delete")["session"] is None


def test_what_goes_on_elsewhere_is_seen_and_ended(
    here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([text("begun"), hang()])
    with operator(here) as client:
        for number in (1, 2):
            run = {"sessionKey": "busy", "message": f"go {number}", "idempotencyKey": f"busy-{number}"}
            client.call("chat.send", run)
        wait_until(lambda: provider.open == 1, PATIENCE, "the run to begin")

        def states(gateway: GatewayProcess) -> list[tuple[str, str]]:
            return [(one["id"], one["state"]) for one in get(gateway, "/busy")["runs"]]

        both = [("busy-1", "running"), ("busy-2", "queued")]
        wait_until(lambda: states(there) == both, PATIENCE, "the other host to see them")
        wait_until(lambda: (get(there, "/busy")["lastEventId"] or 0) >= 2, PATIENCE, "the first words")
        assert get(there, "/busy")["phase"] == "running"
        assert call(there, "POST", "/busy/reset").status == 200
        assert get(here, "/busy")["phase"] == "idle"
        assert get(here, "/busy")["messageCount"] == 0
