"""`config.*` as clients see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.auth.method_scopes import METHOD_SCOPES
from app.auth.scopes import ADMIN
from app.config.schema.fields import REDACTED
from tests.unit.ws.methods.conftest import TOKEN, WRITTEN

if TYPE_CHECKING:
    from tests.unit.ws.methods.conftest import Office


def test_the_file_without_its_secrets(office: Office):
    answer = office.call("config.get")
    assert "canary" not in json.dumps(answer)
    assert (answer["exists"], answer["valid"], answer["issues"]) == (True, True, [])
    assert answer["path"] == str(office.file)
    assert answer["config"]["gateway"]["auth"]["token"] == REDACTED
    assert answer["parsed"] == answer["config"]
    assert answer["effective"]["gateway"]["auth"]["token"] == REDACTED
    assert REDACTED in answer["raw"]
    assert len(answer["hash"]) == 64


def test_no_file(office: Office):
    office.file.unlink()
    answer = office.call("config.get")
    assert (answer["exists"], answer["raw"], answer["hash"], answer["config"]) == (False, None, None, {})


def test_mistakes(office: Office):
    office.file.write_text(WRITTEN.replace("'token', token", "'tokn', token"))
    answer = office.call("config.get")
    assert not answer["valid"]
    assert "gateway.auth.mode" in answer["issues"][0]["message"]


@pytest.mark.parametrize("method", ["config.set", "config.apply"])
def test_the_whole_file_is_written_and_taken_up(office: Office, method: str):
    shown = office.call("config.get")
    raw = shown["raw"].replace("gateway: {", "session: {mainKey: 'home'}, gateway: {")
    answer = office.call(method, {"raw": raw, "baseHash": shown["hash"], "note": "x"})
    assert (answer["ok"], answer["path"]) == (True, str(office.file))
    assert answer["config"]["session"] == {"mainKey": "home"}
    assert "canary" not in json.dumps(answer)
    assert office.call("config.get")["hash"] == answer["hash"]
    assert office.gateway.config.check()
    assert office.gateway.settings.session.main_key == "home"
    assert office.gateway.settings.gateway.auth.token == TOKEN


def test_a_patch(office: Office):
    base = office.call("config.get")["hash"]
    raw = "{agents: {list: [{id: 'beta', name: 'B'}]}}"
    answer = office.call("config.patch", {"raw": raw, "baseHash": base})
    assert (answer["restart"], answer["sentinel"], "noop" in answer) == (None, None, False)
    assert [agent.name for agent in office.load().agents] == [None, "B"]
    again = office.call("config.patch", {"raw": raw, "baseHash": answer["hash"]})
    assert (again["noop"], again["hash"]) == (True, answer["hash"])


def test_each_change_leaves_a_line_with_its_keys_and_no_values(
    office: Office, caplog: pytest.LogCaptureFixture
):
    raw = "{session: {mainKey: 'canary-home'}, agents: {list: [{id: 'beta', name: 'canary-name'}]}}"
    with caplog.at_level("INFO", "app.ws"):
        office.call("config.patch", {"raw": raw, "baseHash": office.call("config.get")["hash"]})
        office.call("config.patch", {"raw": raw, "baseHash": office.call("config.get")["hash"]})
    (line,) = [record for record in caplog.records if record.getMessage().startswith("configuration written")]
    fields = json.dumps(line.__dict__, default=str)
    assert "session.mainKey" in fields
    assert "agents.list[1].name" in fields
    assert "canary" not in fields


@pytest.mark.parametrize("method", ["config.set", "config.apply", "config.patch"])
def test_what_is_refused(office: Office, method: str):
    base = office.call("config.get")["hash"]
    missing = f"invalid {method} params: at root: must have required property 'raw'"
    assert office.refusal(method, {"baseHash": base}) == missing
    needed = "config base hash required; re-run config.get and retry"
    assert office.refusal(method, {"raw": "{}"}) == needed
    assert "re-run config.get" in office.refusal(method, {"raw": "{}", "baseHash": "x"})
    message = office.refusal(method, {"raw": "{gateway: {port: 'x', nope: 1}}", "baseHash": base})
    assert message.startswith("invalid config: ")
    assert "gateway.port" in message
    assert "`nope` is not a key" in message
    assert office.file.read_text() == WRITTEN
    assert METHOD_SCOPES[method] == ADMIN


def test_the_schema(office: Office):
    answer = office.call("config.schema")
    assert answer["schema"]["properties"]["gateway"]["properties"]["port"]["maximum"] == 65535
    assert answer["uiHints"]["gateway.auth.token"]["sensitive"]
    assert set(answer) == {"schema", "uiHints", "version", "generatedAt"}


def test_a_part_of_the_schema(office: Office):
    answer = office.call("config.schema.lookup", {"path": "gateway.auth"})
    assert (answer["path"], answer["schema"]["type"]) == ("gateway.auth", "object")
    token = next(child for child in answer["children"] if child["key"] == "token")
    assert (token["path"], token["type"], token["hasChildren"]) == ("gateway.auth.token", "string", False)
    assert token["hint"]["sensitive"]
    assert office.refusal("config.schema.lookup", {"path": "no.where"}) == "config schema path not found"
    assert "required property 'path'" in office.refusal("config.schema.lookup")
