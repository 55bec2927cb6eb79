"""Session keys: built, parsed and refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidSessionKey
from app.sessions.keys import (
    MAX_KEY,
    agent_id_of,
    is_agent_id,
    is_visible,
    operator_key,
    owned_run_id,
    requested_key,
    shown_run_id,
    space_name,
    space_of,
    stateless_key,
    stored_key,
    user_key,
)

# All of Unicode, lone surrogates included: JSON may smuggle in any of it.
ANY_TEXT = st.text(st.characters(), max_size=200)


def asked(text: str) -> str:
    return requested_key(text, "main", "home")


def refusal(text: str) -> str:
    with pytest.raises(InvalidSessionKey) as caught:
        asked(text)
    assert caught.value.code == "invalid_session_key"
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("k", "agent:main:k"),
        ("  k ", "agent:main:k"),
        ("My Chat", "agent:main:my chat"),
        ("telegram:Group:42", "agent:main:telegram:group:42"),
        ("ÄÖ🦞", "agent:main:äö🦞"),
        ("agents:x", "agent:main:agents:x"),
        ("agent", "agent:main:agent"),
        ("main", "agent:main:home"),
        ("MAIN", "agent:main:home"),
        ("main2", "agent:main:main2"),
        ("main:x", "agent:main:main:x"),
        ("agent:main:x", "agent:main:x"),
        ("Agent:MAIN:X", "agent:main:x"),
        ("agent:main:main", "agent:main:main"),
        ("agent:main:a:b:c", "agent:main:a:b:c"),
        ("agent:main:openai:1b2c", "agent:main:openai:1b2c"),
        ("agent:main:OpenAI-User:AbC", "agent:main:openai-user:AbC"),
        ("openresponses-user:AbC", "agent:main:openresponses-user:AbC"),
        ("x:openai-user:AbC", "agent:main:x:openai-user:abc"),
        ("cron", "agent:main:cron"),
        ("acp-1", "agent:main:acp-1"),
        ("k" * MAX_KEY, "agent:main:" + "k" * MAX_KEY),
    ],
)
def test_keys_become_canonical(text: str, key: str):
    assert asked(text) == key


def test_a_canonical_key_stays_as_it_is():
    for text in ("k", "main", "Agent:Main:X", "openai-user:AbC"):
        assert asked(asked(text)) == asked(text)


@pytest.mark.parametrize("word", ["subagent:", "cron:", "acp:", "harness:"])
@pytest.mark.parametrize("form", ["{}", "{}x", "agent:main:{}x", "a:{}x", "my{}x", "x:{}", "agent:beta:{}x"])
def test_reserved_words_are_refused_anywhere(word: str, form: str):
    for spelling in (word, word.upper(), word.capitalize()):
        assert f"`{word}`" in refusal(form.format(spelling))


@pytest.mark.parametrize(
    "text",
    [
        "agent:",
        "agent::x",
        "agent::",
        "AGENT::x",
        "agent:main",
        "agent:main:",
        "agent:main:   ",
        "agent: main:x",
        "agent:ma in:x",
        "agent:-x:y",
        "agent:mäin:x",
        f"agent:{'x' * 65}:y",
    ],
)
def test_malformed_full_keys_are_refused(text: str):
    assert "Malformed" in refusal(text)


@pytest.mark.parametrize("text", ["agent:beta:x", "agent:BETA:main", "agent:nobody:x"])
def test_a_key_of_another_agent_is_refused_naming_both(text: str):
    message = refusal(text)
    assert f"`{text.split(':')[1].lower()}`" in message
    assert "`main`" in message


@pytest.mark.parametrize(
    "char", ["\x00", "\t", "\n", "\r", "\x1f", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"]
)
@pytest.mark.parametrize("form", ["a{}b", "{}b", "a{}", "agent:main:a{}b", "agent:main:a{}", "agent:{}:x"])
def test_control_characters_are_refused(char: str, form: str):
    assert "control characters" in refusal(form.format(char))


@pytest.mark.parametrize("text", ["k" * (MAX_KEY + 1), "agent:main:" + "k" * MAX_KEY, "🦞" * (MAX_KEY + 1)])
def test_long_keys_are_refused(text: str):
    assert str(MAX_KEY) in refusal(text)


@pytest.mark.parametrize("text", ["", " ", "\u3000"])
def test_empty_keys_are_refused(text: str):
    assert "empty" in refusal(text)


@given(ANY_TEXT)
def test_any_text_gives_a_canonical_key_or_a_refusal(text: str):
    try:
        key = asked(text)
    except InvalidSessionKey as error:
        error.message.encode()  # fit to be sent
    else:
        assert key.startswith("agent:main:")
        assert key.removeprefix("agent:main:").strip()
        key.encode()


@given(ANY_TEXT)
def test_any_user_gives_a_valid_key_that_is_always_the_same(text: str):
    key = user_key("main", "openai", text)
    assert key == user_key("main", "openai", text)
    assert asked(key) == key


@given(st.sets(ANY_TEXT, min_size=2, max_size=20))
def test_different_users_have_different_keys(users: set[str]):
    assert len({user_key("main", "openai", user) for user in users}) == len(users)


def test_agents_and_surfaces_keep_users_apart():
    keys = {
        user_key(agent, surface, "Ann")
        for agent in ("main", "beta")
        for surface in ("openai", "openresponses")
    }
    assert len(keys) == 4


def test_stateless_keys_are_valid_and_different():
    keys = {stateless_key("main", "openai") for _ in range(100)}
    assert len(keys) == 100
    assert all(asked(key) == key for key in keys)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("main", True), ("0-_", True), ("x" * 64, True)]
    + [(text, False) for text in ("", "x" * 65, "-x", "_x", "Main", "a b", "a:b", "ä", "x\n", "\u0661")],
)
def test_agent_ids(text: str, is_one: bool):
    assert is_agent_id(text) is is_one


class TestOperatorKeys:
    """What a client may name over WebSocket."""

    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("main", "agent:alpha:home"),
            ("MAIN", "agent:alpha:home"),
            ("home", "agent:alpha:home"),
            ("Home", "agent:alpha:home"),
            ("agent:alpha:main", "agent:alpha:home"),
            ("agent:beta:main", "agent:beta:home"),
            ("agent:beta:home", "agent:beta:home"),
            ("Agent:BETA:Main", "agent:beta:home"),
            ("FooBar", "agent:alpha:foobar"),
            ("agent:alpha:FooBar", "agent:alpha:foobar"),
            ("Agent:ALPHA:Foo", "agent:alpha:foo"),
            ("agent:ghost:x", "agent:ghost:x"),
            ("agent:alpha:telegram:Group:42:Thread:T1", "agent:alpha:telegram:group:42:thread:t1"),
            ("global", "global"),
            ("Unknown", "unknown"),
            ("agent:alpha:global", "agent:alpha:global"),
            ("subagent:zz", "agent:alpha:subagent:zz"),
            ("cron:j1", "agent:alpha:cron:j1"),
            ("acp:q1", "agent:alpha:acp:q1"),
            ("acp-bridge:6F", "agent:alpha:acp-bridge:6f"),
            ("explicit:S 1", "agent:alpha:explicit:s 1"),
            ("agent:alpha:openai-user:AbC", "agent:alpha:openai-user:AbC"),
            ("a b c", "agent:alpha:a b c"),
            ("ÄÖ🦞", "agent:alpha:äö🦞"),
            ("  k ", "agent:alpha:k"),
            ("agent:alpha:  k ", "agent:alpha:k"),
            ("agent", "agent:alpha:agent"),
            ("agents:x", "agent:alpha:agents:x"),
            ("k" * MAX_KEY, "agent:alpha:" + "k" * MAX_KEY),
        ],
    )
    def test_become_canonical(self, text: str, key: str):
        assert operator_key(text, "alpha", "home") == key
        if len(key) <= MAX_KEY:
            assert operator_key(key, "alpha", "home") == key

    @pytest.mark.parametrize(
        "text",
        [
            *("", "   ", "agent:", "agent::", "agent::x", "agent:main", "agent:main:", "agent:main:  "),
            *("agent:no good:x", "agent:.:x", "k" * (MAX_KEY + 1), "a\nb", "a\x00b", "\ud800"),
        ],
    )
    def test_are_refused_when_malformed(self, text: str):
        with pytest.raises(InvalidSessionKey, match=r"^malformed session key "):
            operator_key(text, "alpha", "home")

    def test_the_refusal_quotes_the_key_as_json(self):
        with pytest.raises(InvalidSessionKey) as caught:
            operator_key("agent::x\n", "alpha", "home")
        assert caught.value.message == 'malformed session key "agent::x\\n"'

    @given(ANY_TEXT)
    def test_any_text_gives_a_stable_key_or_a_refusal(self, text: str):
        try:
            key = operator_key(text, "alpha", "home")
        except InvalidSessionKey:
            return
        if len(key) <= MAX_KEY:
            assert operator_key(key, "alpha", "home") == key
        assert agent_id_of(key, "alpha") == (key.split(":")[1] if ":" in key else "alpha")


class TestSpaces:
    """Each user whom a trusted proxy names has names of its own."""

    @pytest.mark.parametrize("rules", ["caller", "operator"])
    @given(text=ANY_TEXT, owner=ANY_TEXT)
    def test_any_text_names_a_session_of_the_callers_own(self, rules: Any, text: str, owner: str):
        for form in (text, f"agent:main:{text}", space_name("ann") + text, space_name(owner) + text):
            try:
                key = stored_key(form, "main", "home", owner, rules)
            except InvalidSessionKey:
                continue
            assert space_of(key) == space_name(owner)
            assert is_visible(key, owner)
            assert is_visible(key, None)
            assert not is_visible(key, f"{owner}, somebody else")
            if len(key) <= MAX_KEY:
                assert stored_key(key, "main", "home", owner, rules) == key
                assert stored_key(key, "main", "home", None, rules) == key  # an operator means the same one

    @pytest.mark.parametrize("rules", ["caller", "operator"])
    def test_different_names_are_different_sessions(self, rules: Any):
        ann = space_name("ann")
        names = ("x", f"{ann}{ann}x", f"{space_name('bob')}x", "of:x", f"of:{'0' * 32}:x", "global", "main")
        keys = {stored_key(name, "main", "home", "ann", rules) for name in names}
        assert len(keys) == len(names)

    def test_the_operators_own_sessions_are_nobody_elses(self):
        for key in ("agent:main:x", "agent:main:of:x", f"agent:main:x:{space_name('ann')}y", "global"):
            assert space_of(key) == ""
            assert not is_visible(key, "ann")

    def test_runs_have_the_names_that_their_callers_gave(self):
        kept = owned_run_id("run", "ann")
        assert len({kept, owned_run_id("run", "bob"), owned_run_id("run", None)}) == 3
        assert shown_run_id(kept, stored_key("x", "main", "home", "ann", "operator")) == "run"
        assert shown_run_id(kept, "agent:main:x") == kept
        assert shown_run_id("run", "agent:main:x") == owned_run_id("run", None) == "run"
