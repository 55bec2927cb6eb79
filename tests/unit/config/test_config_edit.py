"""The operator's file, changed for a client: what is shown, what is refused, what is written."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import json5
import pytest

from app.concurrency.native_thread import NativeThread
from app.config.edit import ConfigFile
from app.config.loader import load_settings
from app.config.schema.fields import REDACTED
from app.config.settings import Settings
from app.config.source.parsed_file import ParsedFile
from app.errors import InvalidRequest, ServiceUnavailable
from app.start import check_file

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator

TOKEN = "canary-token-0123456789"
WRITTEN = """{
  // what callers need; token: 'canary-comment'
  gateway: {auth: {mode: 'token', token: 'TOKEN'}, port: 18790},
  models: {providers: {corp: {
    baseUrl: 'http://corp.example', apiKey: "canary-key", headers: {'X-Key': 'canary-header'},
  }}},
  agents: {list: [{id: 'one', systemPrompt: 'My token is TOKEN.'}, {id: 'two'}]},
  channels: {telegram: {botToken: 'canary-bot', allow: ['*']}}, /* the end */
}
""".replace("TOKEN", TOKEN)


@pytest.fixture
def edit(operator: Operator) -> Callable[[], ConfigFile]:
    """The editor of the file as it is now."""

    def load_file(parsed: ParsedFile) -> Settings:
        return load_settings({"HOME": str(operator.home), **operator.environ}, operator.cwd, parsed)

    def build() -> ConfigFile:
        settings = operator.load()
        return ConfigFile(lambda: settings, partial(check_file, load_file), NativeThread())

    return build


@pytest.fixture
def file(operator: Operator, edit) -> ConfigFile:
    operator.write(WRITTEN)
    return edit()


def refusal(change: Callable[[], object]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        change()
    return caught.value.message


class TestShown:
    def test_without_a_secret_and_otherwise_as_it_is_written(self, file):
        shown = file.show()
        assert "canary" not in shown.text
        assert "canary" not in json.dumps([shown.tree, shown.effective])
        assert shown.tree["gateway"]["auth"] == {"mode": "token", "token": REDACTED}
        assert shown.tree["channels"] == {"telegram": {"botToken": REDACTED, "allow": ["*"]}}
        assert shown.tree["agents"]["list"][0]["systemPrompt"] == f"My token is {REDACTED}."
        assert f'// what callers need; token: "{REDACTED}"\n' in shown.text
        assert "port: 18790}," in shown.text
        assert "/* the end */" in shown.text
        assert (shown.problems, shown.path.name) == ((), "openclaw.json")

    def test_references_to_the_environment_are_no_secrets(self, operator, edit):
        operator.environ["MY_TOKEN"] = TOKEN
        operator.write(
            "{gateway: {auth: {token: '${MY_TOKEN}',"
            " password: {source: 'env', provider: 'x', id: 'MY_TOKEN'}}}}"
        )
        shown = edit().show()
        auth = {"token": "${MY_TOKEN}", "password": {"source": "env", "provider": "x", "id": "MY_TOKEN"}}
        assert shown.tree == {"gateway": {"auth": auth}}
        assert "${MY_TOKEN}" in shown.text

    def test_when_there_is_no_file(self, edit):
        shown = edit().show()
        assert (shown.text, shown.tree, shown.hash, shown.problems) == (None, {}, None, ())
        assert shown.effective["agents"]["list"][0]["id"] == "main"

    def test_mistakes_are_reported(self, operator, file):
        operator.write(WRITTEN.replace("18790", "-1"))
        (problem,) = file.show().problems
        assert "gateway.port: must be a whole number from 1 to 65535" in problem

    def test_one_that_cannot_be_read_shows_no_secret_either(self, operator, file):
        operator.write(WRITTEN[:-3])
        shown = file.show()
        assert shown.tree is None
        assert "canary" not in shown.text
        assert "port: 18790" in shown.text
        assert shown.problems

    def test_its_hash_is_keyed_with_a_secret(self, operator, file, edit):
        first = file.show().hash
        assert file.show().hash == first
        operator.write(WRITTEN.replace(TOKEN, TOKEN + "-2"))
        assert edit().show().hash != first


UNKNOWN = """{
  gateway: {auth: {token: 'TOKEN'}}, // a comment of ours
  channels: {
    telegram: {mode: 'polling', name: 'canary-name', greeting: "canary-greeting", list: ['canary-item', 7]},
    /* canary-block */ off: true, // canary-line
    // canary-other
  },
  talk: 'canary-scalar',
  plugins: {x: {notes: '${SOME_VARIABLE}', deep: {er: [{still: 'canary-deep', type: 'stdio'}]}}},
  agents: {list: [{id: 'main', systemPrompt: 'Be kind.', heartbeat: {prompt: 'canary-prompt'}}]},
}
""".replace("TOKEN", TOKEN)


class TestSectionsNobodyKnows:
    """The schema does not say what is secret there."""

    def test_only_texts_of_harmless_names_are_shown(self, operator, edit):
        operator.write(UNKNOWN)
        shown = edit().show()
        assert "canary" not in shown.text + json.dumps(shown.tree)
        assert shown.tree["channels"] == {
            "telegram": {"mode": "polling", "name": REDACTED, "greeting": REDACTED, "list": [REDACTED, 7]},
            "off": True,
        }
        assert shown.tree["talk"] == REDACTED
        assert shown.tree["plugins"]["x"]["notes"] == "${SOME_VARIABLE}"
        assert shown.tree["plugins"]["x"]["deep"]["er"] == [{"still": REDACTED, "type": "stdio"}]
        assert shown.tree["agents"]["list"][0]["systemPrompt"] == "Be kind."
        assert "// a comment of ours" in shown.text

    def test_what_was_shown_comes_back_as_it_was(self, operator, edit):
        operator.write(UNKNOWN)
        file = edit()
        shown = file.show()
        file.replace(shown.text, shown.hash)
        assert operator.file.read_text().replace('"', "'") == UNKNOWN.replace('"', "'")

    @pytest.mark.parametrize("end", [-3, -40, -200])
    def test_a_file_that_cannot_be_read_shows_keys_alone(self, operator, edit, end):
        operator.write(UNKNOWN)
        file = edit()
        operator.write(UNKNOWN[:end])
        shown = file.show()
        assert shown.tree is None
        assert "canary" not in shown.text
        assert "telegram: {mode: " in shown.text


class TestWhatClientsMayNotBringIn:
    @pytest.fixture
    def change(self, operator, edit):
        """Changes the file in one of the two ways."""
        operator.environ["MY_KEY"] = "canary-of-the-environment"

        def by(method: str, old: str, change: str) -> str:
            operator.write(old)
            file = edit()
            if method == "patch":
                return refusal(lambda: file.patch(change, file.show().hash))
            return refusal(lambda: file.replace(change, file.show().hash))

        return by

    AUTH = f"gateway: {{auth: {{token: '{TOKEN}'}}}}"

    @pytest.mark.parametrize("method", ["replace", "patch"])
    @pytest.mark.parametrize(
        "more",
        [
            "session: {mainKey: '${MY_KEY}'}",
            "agents: {list: [{id: 'main', systemPrompt: 'Say ${MY_KEY}.'}]}",
            "models: {providers: {x: {baseUrl: 'http://evil.example/${MY_KEY}'}}}",
            "session: {mainKey: {source: 'env', provider: 'default', id: 'MY_KEY'}}",
            "env: {vars: {OTHER: '${MY_KEY}'}}",
            "channels: {x: '${MY_KEY}'}",
            "logging: {$include: '/etc/passwd'}",
            "logging: {$include: ['part.json5', '/etc/passwd']}",
        ],
    )
    def test_a_new_variable_or_absolute_include(self, operator, change, method, more):
        old = f"{{{self.AUTH}}}"
        assert "may only be brought in" in change(method, old, f"{{{self.AUTH}, {more}}}")
        assert operator.file.read_text() == old

    def test_a_variable_that_is_there_may_not_move(self, operator, change):
        provider = "models: {providers: {x: {baseUrl: 'http://x.example', apiKey: '${MY_KEY}'}}}"
        moved = "{models: {providers: {x: {headers: {'X-Key': '${MY_KEY}'}}}}}"
        assert "may only be brought in" in change("patch", f"{{{self.AUTH}, {provider}}}", moved)

    def test_variables_that_are_there_stay(self, operator, edit):
        operator.environ["MY_KEY"] = "canary-of-the-environment"
        operator.write(
            f"{{{self.AUTH}, models: {{providers: {{x: {{baseUrl: 'http://x.example', "
            "apiKey: '${MY_KEY}', headers: {'X-Text': '$${LITERAL}'}}}}}"
        )
        file = edit()
        changed = file.patch("{session: {mainKey: 'home'}}", file.show().hash)
        assert changed.keys == ("session.mainKey",)
        shown = file.show()
        file.replace(shown.text.replace("home", "away"), shown.hash)
        assert operator.load().session.main_key == "away"

    @pytest.mark.parametrize(
        "patch",
        [
            "{models: {providers: {corp: {baseUrl: 'http://evil.example'}}}}",
            f"{{models: {{providers: {{corp: {{baseUrl: 'http://evil.example', apiKey: '{REDACTED}'}}}}}}}}",
            "{models: {providers: {corp: {baseUrl: 'http://evil.example', apiKey: 'mine'}}}}",  # the header
            "{models: {providers: {groq: {baseUrl: 'http://evil.example'}}}}",
            "{gateway: {remote: {url: 'ws://evil.example'}}}",
        ],
    )
    def test_a_secret_is_not_sent_elsewhere(self, operator, change, patch):
        operator.environ["GROQ_API_KEY"] = "canary-groq"
        old = WRITTEN.replace("port: 18790", "remote: {url: 'ws://far.example', token: 'canary-remote'}")
        assert "another address" in change("patch", old, patch)
        assert operator.file.read_text() == old

    def test_a_secret_is_not_sent_elsewhere_in_two_steps_either(self, operator, edit):
        operator.environ["GROQ_API_KEY"] = "canary-groq"
        operator.write(WRITTEN)
        file = edit()
        first = "{models: {providers: {groq: {baseUrl: 'http://evil.example', apiKey: 'dummy-key'}}}}"
        file.patch(first, file.show().hash)
        file = edit()
        second = "{models: {providers: {groq: {apiKey: null}}}}"
        assert "another address" in refusal(lambda: file.patch(second, file.show().hash))

    def test_who_knows_the_secret_may_send_it_elsewhere(self, operator, file):
        patch = """{models: {providers: {corp: {baseUrl: 'http://new.example', apiKey: 'canary-key',
            headers: {'X-Key': 'canary-header'}}}}}"""
        file.patch(patch, file.show().hash)
        assert operator.load().providers["corp"].base_url == "http://new.example"


class TestReplace:
    def test_what_was_shown_comes_back_as_it_was(self, operator, file):
        shown = file.show()
        file.replace(shown.text, shown.hash)
        assert json.dumps(operator.file.read_text()).replace('\\"', "'") == json.dumps(WRITTEN).replace(
            '\\"', "'"
        )

    def test_a_change_beside_the_placeholders(self, operator, file):
        shown = file.show()
        changed = file.replace(shown.text.replace("18790", "18791"), shown.hash)
        assert operator.load().gateway.port == 18791
        assert operator.load().gateway.auth.token == TOKEN
        assert changed.hash == file.show().hash != shown.hash
        assert changed.tree["gateway"]["auth"]["token"] == REDACTED

    def test_a_secret_may_be_changed(self, operator, file):
        shown = file.show()
        new = "another-secret-0123456789"
        file.replace(shown.text.replace(f'token: "{REDACTED}"}}', f"token: '{new}'}}"), shown.hash)
        assert operator.load().gateway.auth.token == new

    def test_a_placeholder_that_nothing_stands_behind(self, operator, file):
        shown = file.show()
        message = refusal(
            lambda: file.replace(f"{{gateway: {{remote: {{token: '{REDACTED}'}}}}}}", shown.hash)
        )
        assert message.startswith("gateway.remote.token: the placeholder ")
        moved = shown.text.replace(f"is {REDACTED}.", f"is not {REDACTED}.")
        assert refusal(lambda: file.replace(moved, shown.hash)).startswith("agents.list[0].systemPrompt: ")
        assert operator.file.read_text() == WRITTEN

    def test_the_first_file_needs_no_hash(self, operator, edit):
        operator.environ["OPENCLAW_GATEWAY_TOKEN"] = TOKEN
        edit().replace("{gateway: {port: 18791}}", None)
        assert operator.load().gateway.port == 18791
        assert stat.S_IMODE(operator.file.stat().st_mode) == 0o600

    @pytest.mark.parametrize("base_hash", [None, "", "0" * 64, "ünfug"])
    def test_another_base_is_refused(self, operator, file, base_hash):
        message = refusal(lambda: file.replace("{}", base_hash))
        why = "changed since last load" if base_hash else "base hash required"
        assert message == f"config {why}; re-run config.get and retry"
        assert operator.file.read_text() == WRITTEN

    def test_mistakes_are_refused_all_at_once(self, operator, file):
        shown = file.show()
        message = refusal(
            lambda: file.replace(f"{{gateway: {{port: 0, auth: {{token: '{TOKEN}'}}, x: 1}}}}", shown.hash)
        )
        assert message.startswith("invalid config: ")
        assert "gateway.port: must be" in message
        assert "`x` is not a key of `gateway`" in message
        assert str(operator.file) in message
        assert ".tmp" not in message
        assert operator.file.read_text() == WRITTEN
        assert os.listdir(operator.file.parent) == ["openclaw.json"]

    @pytest.mark.parametrize("raw", ["{", "[]", "nonsense", "{a: 1, a: 2}", "", "\ud800"])
    def test_what_is_no_configuration_is_refused(self, operator, file, raw):
        assert refusal(lambda: file.replace(raw, file.show().hash)).startswith("invalid config: ")
        assert operator.file.read_text() == WRITTEN

    def test_what_the_gateway_would_not_start_with_is_refused(self, operator, file):
        open_to_all = "{gateway: {bind: 'lan', auth: {mode: 'none'}}}"
        assert refusal(lambda: file.replace(open_to_all, file.show().hash)).startswith("invalid config: ")

    def test_the_file_keeps_its_mode_and_its_place(self, operator, file, tmp_path):
        operator.environ["OPENCLAW_GATEWAY_TOKEN"] = TOKEN
        real = tmp_path / "elsewhere" / "real.json"
        real.parent.mkdir()
        operator.file.rename(real)
        real.chmod(0o640)
        operator.file.symlink_to(real)
        operator.write("{}", "part.json5")
        file.replace("{$include: 'part.json5', gateway: {port: 18791}}", file.show().hash)
        assert operator.file.is_symlink()
        assert operator.load().gateway.port == 18791
        assert stat.S_IMODE(real.stat().st_mode) == 0o640

    def test_a_file_that_cannot_be_written(self, operator, file, monkeypatch):
        shown = file.show()

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ServiceUnavailable, match="No space left on device"):
            file.replace(shown.text, shown.hash)
        assert operator.file.read_text() == WRITTEN
        assert os.listdir(operator.file.parent) == ["openclaw.json"]


class TestPatch:
    def test_objects_merge_and_null_removes(self, operator, file):
        patch = "{gateway: {port: 18791, auth: {mode: null}}, channels: null, session: {mainKey: 'home'}}"
        changed = file.patch(patch, file.show().hash)
        settings = operator.load()
        assert (settings.gateway.port, settings.gateway.auth.token) == (18791, TOKEN)
        assert settings.session.main_key == "home"
        written = json.loads(operator.file.read_text())
        assert "channels" not in written
        assert "mode" not in written["gateway"]["auth"]
        assert changed.tree["models"]["providers"]["corp"]["apiKey"] == REDACTED

    def test_lists_of_things_with_ids_merge_by_them(self, operator, file):
        file.patch("{agents: {list: [{id: 'two', name: 'Two'}, {id: 'three'}]}}", file.show().hash)
        agents = operator.load().agents
        assert [(agent.id, agent.name) for agent in agents] == [
            ("one", None),
            ("two", "Two"),
            ("three", None),
        ]
        assert agents[0].system_prompt.text == f"My token is {TOKEN}."

    def test_other_lists_are_replaced(self, operator, file):
        file.patch("{gateway: {allowedHosts: ['a.example']}}", file.show().hash)
        file.patch("{gateway: {allowedHosts: ['b.example']}}", file.show().hash)
        assert operator.load().gateway.allowed_hosts == ("b.example",)

    def test_a_placeholder_leaves_the_secret_alone(self, operator, file):
        patch = f"{{gateway: {{auth: {{token: '{REDACTED}'}}}}}}"
        changed = file.patch(patch, file.show().hash)
        assert not changed.changed
        assert operator.file.read_text() == WRITTEN

    def test_no_change_writes_nothing(self, operator, file):
        assert not file.patch("{gateway: {port: 18790}}", file.show().hash).changed
        assert operator.file.read_text() == WRITTEN

    def test_the_first_file(self, operator, edit):
        operator.environ["OPENCLAW_GATEWAY_TOKEN"] = TOKEN
        assert edit().patch("{gateway: {port: 18791}}", None).changed
        assert operator.load().gateway.port == 18791

    def test_what_is_refused(self, operator, file):
        base = file.show().hash
        assert "base hash required" in refusal(lambda: file.patch("{}", None))
        assert "must be an object" in refusal(lambda: file.patch("[1]", base))
        assert "gateway.port" in refusal(lambda: file.patch("{gateway: {port: 'x'}}", base))
        assert operator.file.read_text() == WRITTEN


class TestParsing:
    """Each text is parsed once: the JSON5 parser is slow."""

    @pytest.fixture
    def parsed(self, file, monkeypatch) -> list[str]:
        """The documents that the JSON5 parser is given, from now on."""
        texts: list[str] = []
        loads = json5.loads

        def counted(text: str, **options: Any) -> Any:
            if "{" in text:  # `unmask` reads single values, too
                texts.append(text)
            return loads(text, **options)

        monkeypatch.setattr(json5, "loads", counted)
        return texts

    def test_a_load(self, operator, parsed):
        operator.load()
        assert parsed == [WRITTEN]

    def test_a_load_with_an_included_file(self, operator, parsed):
        part, whole = "{/**/ queue: {cap: 3}}", "{session: {$include: 'part.json5'}}"
        operator.write(part, "part.json5")
        operator.load(whole)
        assert parsed == [whole, part]

    def test_showing_the_file(self, file, parsed):
        file.show()
        assert parsed == [WRITTEN]

    def test_replacing_the_file(self, operator, file, parsed):
        shown = file.show()
        parsed.clear()
        raw = shown.text.replace("18790", "18791")
        file.replace(raw, shown.hash)
        assert parsed == [WRITTEN, raw, operator.file.read_text()]

    def test_replacing_it_by_a_text_without_placeholders(self, operator, file, parsed):
        base = file.show().hash
        parsed.clear()
        raw = "{gateway: {auth: {token: 'another-secret-0123456789'}}}"
        file.replace(raw, base)
        assert parsed == [WRITTEN, raw]

    def test_patching_the_file(self, file, parsed):
        base = file.show().hash
        parsed.clear()
        patch = "{gateway: {port: 18791}}"
        file.patch(patch, base)  # what is written is plain JSON, which needs no JSON5 parser
        assert parsed == [WRITTEN, patch]
