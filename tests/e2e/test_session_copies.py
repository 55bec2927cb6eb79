"""Forks, exports and imports of sessions over HTTP, through a real gateway."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.e2e.conftest import ShareGateway, StartGateway
from tests.e2e.test_sessions_http import AUTH, GIF, call, get, keys, say, texts
from tests.support.gateway import Answer, GatewayProcess, agent_config, config_for
from tests.support.operator import operator
from tests.support.provider import (
    PATIENCE,
    ScriptedProvider,
    done,
    finish,
    hang,
    says,
    text,
    tool_call,
    wait_until,
)
from tests.support.proxy_users import USER_HEADER, ask, proxy_config

SECRET = "sk-canary0123456789"


def bare(page: Any) -> list[Any]:
    """The messages without what every copy has of its own."""
    own = ("id", "runId", "source")
    return [{name: value for name, value in one.items() if name not in own} for one in page["messages"]]


def export(gateway: GatewayProcess, name: str, form: str = "jsonl") -> bytes:
    answer = call(gateway, "GET", f"/{name}/export?format={form}")
    assert answer.status == 200, answer.body
    return answer.body


def lines(exported: bytes) -> list[Any]:
    return [json.loads(line) for line in exported.splitlines()]


@pytest.fixture
def with_tools(share_gateway: ShareGateway, provider: ScriptedProvider) -> GatewayProcess:
    return share_gateway(agent_config(provider.url))


def use_tools(gateway: GatewayProcess, provider: ScriptedProvider, key: str = "notes") -> None:
    """A turn with two calls of the agent's own tools beside each other, and one more."""
    provider.plays(
        says("Hello."),
        [
            text("I look."),
            tool_call(0, "c1", "ls", "{}"),
            tool_call(1, "c2", "ls", "{}"),
            finish("tool_calls"),
            done(),
        ],
        says("Nothing there."),
        says("Bye."),
    )
    for question in ("hi", "what is there?", "bye"):
        say(gateway, question, key)


def test_a_fork_has_the_whole_conversation_and_the_settings(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "notes")
    say(gateway, "and again", "notes")
    call(gateway, "PATCH", "/notes", {"label": "Shopping", "thinkingLevel": "low"})
    forked = call(gateway, "POST", "/notes/fork")
    assert forked.status == 201
    fork = get(gateway, f"/{forked.json['key']}")
    assert fork["label"] == "Shopping (fork)"
    assert fork["thinkingLevel"] == "low"
    assert fork["forkedFrom"] == {"key": "agent:main:notes", "messageId": None}
    assert bare(get(gateway, f"/{fork['key']}/history")) == bare(get(gateway, "/notes/history"))
    again = get(gateway, f"/{call(gateway, 'POST', '/notes/fork', {}).json['key']}")
    assert again["label"] == "Shopping (fork 2)"
    assert again["key"] != fork["key"]


def test_both_go_on_by_themselves(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    say(gateway, "one", "notes")
    say(gateway, "two", "notes")
    answer = get(gateway, "/notes/history")["messages"][1]["id"]
    key = call(gateway, "POST", "/notes/fork", {"messageId": answer}).json["key"]
    say(gateway, "three", key)
    sent = [one["content"] for one in provider.requests[-1]["messages"] if one["role"] != "system"]
    assert sent == ["one", "echo: one", "three"]
    assert texts(get(gateway, "/notes/history")) == ["one", "echo: one", "two", "echo: two"]
    assert texts(get(gateway, f"/{key}/history")) == ["one", "echo: one", "three", "echo: three"]
    assert get(gateway, f"/{key}")["title"] == "one"


def test_a_question_that_a_fork_ends_with_can_be_asked_again(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    say(gateway, "one", "notes")
    say(gateway, "two", "notes")
    question = get(gateway, "/notes/history")["messages"][2]["id"]
    key = call(gateway, "POST", "/notes/fork", {"messageId": question}).json["key"]
    say(gateway, "two", key)
    sent = [one["content"] for one in provider.requests[-1]["messages"] if one["role"] != "system"]
    assert sent == ["one", "echo: one", "two"]


def test_calls_are_not_parted_from_their_results(
    with_tools: GatewayProcess, provider: ScriptedProvider
) -> None:
    gateway = with_tools
    use_tools(gateway, provider)
    whole = get(gateway, "/notes/history")["messages"]
    assert [one["role"] for one in whole] == [
        *("user", "assistant", "user", "assistant", "tool", "tool", "assistant", "user", "assistant"),
    ]
    for place, kept in ((0, 1), (1, 2), (2, 3), (3, 6), (4, 6), (5, 6), (6, 7), (8, 9)):
        key = call(gateway, "POST", "/notes/fork", {"messageId": whole[place]["id"]}).json["key"]
        copied = get(gateway, f"/{key}/history")["messages"]
        assert [one["content"] for one in copied] == [one["content"] for one in whole[:kept]], place
    say(gateway, "go on", key)


def test_a_callers_own_calls_take_their_results_along(
    gateway: GatewayProcess, provider: ScriptedProvider
) -> None:
    provider.plays([tool_call(0, "c1", "f", "{}"), finish("tool_calls"), done()], says("It is 4."))
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked: list[Any] = [{"role": "user", "content": "What is it?"}]
    body = {"model": "openclaw", "messages": asked, "tools": tools}
    said = gateway.chat(body, x_openclaw_session_key="notes").json["choices"][0]["message"]
    asked += [said, {"role": "tool", "tool_call_id": "c1", "content": "4"}]
    assert gateway.chat(body, x_openclaw_session_key="notes").text == "It is 4."
    page = get(gateway, "/notes/history")["messages"]
    key = call(gateway, "POST", "/notes/fork", {"messageId": page[1]["id"]}).json["key"]
    assert [one["role"] for one in get(gateway, f"/{key}/history")["messages"]] == [
        "user",
        "assistant",
        "tool",
    ]


def test_a_fork_leaves_out_what_has_not_ended(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    say(gateway, "one", "notes")
    provider.plays([text("I go on"), hang()])
    asking = threading.Thread(target=lambda: gateway.ask("two", user="x"))
    with operator(gateway) as client:
        client.call("chat.send", {"sessionKey": "notes", "message": "two", "idempotencyKey": "busy"})
        wait_until(lambda: provider.open == 1, PATIENCE, "the run to begin")
        page = get(gateway, "/notes/history")
        assert texts(page) == ["one", "echo: one", "two"]
        key = call(gateway, "POST", "/notes/fork").json["key"]
        assert texts(get(gateway, f"/{key}/history")) == ["one", "echo: one"]
        refused = call(gateway, "POST", "/notes/fork", {"messageId": page["messages"][2]["id"]})
        assert (refused.status, refused.error["code"]) == (409, "session_conflict")
        exported = lines(export(gateway, "notes"))
        assert exported[0]["unfinishedRuns"] == ["busy"]
        assert [one["state"] for one in exported if one["type"] == "run"] == ["finished", "running"]
        assert b"was going on" in export(gateway, "notes", "markdown")
        client.call("chat.abort", {"sessionKey": "notes"})
    assert not asking.is_alive()


@pytest.mark.parametrize("body", [{"messageId": 7}, {"messageId": ["1"]}, b"[]", b"{"])
def test_a_wrong_fork(gateway: GatewayProcess, body: Any) -> None:
    say(gateway, "hi", "notes")
    assert call(gateway, "POST", "/notes/fork", body).status == 400
    assert len(get(gateway, "")["sessions"]) == 1


@pytest.mark.parametrize("message", ["999999", "", "abc", "\0"])
def test_a_fork_at_a_message_that_is_not_there(gateway: GatewayProcess, message: str) -> None:
    say(gateway, "hi", "notes")
    missing = call(gateway, "POST", "/notes/fork", {"messageId": message})
    assert (missing.status, missing.error["code"]) == (404, "not_found")
    assert len(get(gateway, "")["sessions"]) == 1


def test_a_message_of_another_session_or_one_that_was_replaced(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "notes")
    say(gateway, "hi", "other")
    [old, _] = get(gateway, "/notes/history")["messages"]
    [other, _] = get(gateway, "/other/history")["messages"]
    call(gateway, "POST", "/notes/reset")
    for message in (old, other):
        assert call(gateway, "POST", "/notes/fork", {"messageId": message["id"]}).status == 404
    empty = call(gateway, "POST", "/notes/fork").json["key"]
    assert get(gateway, f"/{empty}")["messageCount"] == 0


def test_what_is_copied_is_not_used_twice(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "notes")
    with operator(gateway) as client:
        before = client.call("usage.cost")["totals"]
        call(gateway, "POST", "/notes/fork")
        call(gateway, "POST", "/import", export(gateway, "notes"))
        assert client.call("usage.cost")["totals"] == before


def test_an_export_is_imported_without_loss(with_tools: GatewayProcess, provider: ScriptedProvider) -> None:
    gateway = with_tools
    use_tools(gateway, provider)
    with operator(gateway) as client:
        client.call("chat.inject", {"sessionKey": "notes", "message": "By hand.", "label": "Note"})
    picture = [
        {"type": "text", "text": "Look: ünïcödé \u2028 \u0000"},
        {"type": "image_url", "image_url": {"url": GIF}},
    ]
    body = {"model": "openclaw", "messages": [{"role": "user", "content": picture, "name": "ann"}]}
    provider.plays([text("Half an"), hang()])
    aborted: list[Answer] = []
    going = threading.Thread(
        target=lambda: aborted.append(gateway.chat(body, x_openclaw_session_key="notes"))
    )
    going.start()
    wait_until(lambda: provider.open == 1, PATIENCE, "the run to begin")
    wait_until(lambda: get(gateway, "/notes")["lastEventId"] > 1, PATIENCE, "its first words")
    with operator(gateway) as client:
        client.call("chat.abort", {"sessionKey": "notes"})
    going.join(PATIENCE)
    call(gateway, "PATCH", "/notes", {"label": "Mine", "thinkingLevel": "high", "other": {"a": [1, None]}})
    exported = export(gateway, "notes")
    imported = call(gateway, "POST", "/copy/import", exported)
    assert imported.status == 201, imported.body
    whole = get(gateway, "/notes/history")
    assert imported.json == {
        "key": "agent:main:copy",
        "messages": len(whole["messages"]),
        "skipped": {"messages": 0, "settings": []},
    }
    assert bare(get(gateway, "/copy/history")) == bare(whole)
    assert "partial" in {one["state"] for one in whole["messages"]}
    copy, notes = get(gateway, "/copy"), get(gateway, "/notes")
    assert copy["label"] == "Mine (import)"
    for name in ("settings", "title", "preview", "model", "createdAt", "totalTokens", "messageCount"):
        assert copy[name] == notes[name], name
    second = lines(export(gateway, "copy"))
    ids = ("id", "exportedAt", "updatedAt", "key", "sessionId", "label", "source", "run")
    strip = lambda all_lines: [{k: v for k, v in one.items() if k not in ids} for one in all_lines]  # noqa: E731
    assert strip(second) == strip(lines(exported))
    say(gateway, "go on", "copy")


def test_an_export_says_what_it_is(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "a/b: ü".encode().decode("latin-1"))
    answer = call(gateway, "GET", "/a%2Fb%3A%20%C3%BC/export")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="agent-main-a-b.jsonl"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert [one["type"] for one in lines(answer.body)] == ["session", "run", "message", "message", "end"]
    assert call(gateway, "HEAD", "/a%2Fb%3A%20%C3%BC/export").status == 200


def test_secrets_leave_with_no_export(gateway: GatewayProcess) -> None:
    arguments = json.dumps({"q": 'x api_key=hunter22\\" and more', "key": "provider-key-canary"})
    messages = [
        {"role": "user", "content": f"My key is {SECRET}, and Authorization: Bearer abcdef123"},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": "c", "content": "the key: provider-key-canary!"},
    ]
    assert call(gateway, "POST", "/notes/import", {"messages": messages}).status == 201
    for form in ("jsonl", "markdown"):
        exported = export(gateway, "notes", form).decode()
        for secret in (SECRET, "abcdef123", "hunter22", "provider-key-canary"):
            assert secret not in exported
        assert "[redacted]" in exported
    called = lines(export(gateway, "notes"))[3]["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(called)["q"].endswith("and more")
    assert call(gateway, "POST", "/import", export(gateway, "notes")).status == 201


def test_markdown_is_for_people(with_tools: GatewayProcess, provider: ScriptedProvider) -> None:
    use_tools(with_tools, provider)
    exported = export(with_tools, "notes", "markdown").decode()
    assert exported.startswith("# agent:main:notes\n\nSession `agent:main:notes`, agent `main`.\n")
    headings = [line for line in exported.splitlines() if line.startswith("## ")]
    assert headings == [
        *("## User", "## Assistant", "## User", "## Assistant", "## Result `ls`", "## Result `ls`"),
        *("## Assistant", "## User", "## Assistant"),
    ]
    assert "Calls `ls`:\n\n```json\n{}\n```" in exported


def test_hostile_text_stays_in_its_place_in_markdown(gateway: GatewayProcess) -> None:
    hostile = ["```\nopen", "<!-- open", "# User\n## Assistant", "a\n===", "````\n```\n", "~~~ x"]
    messages = [{"role": "user" if n % 2 else "assistant", "content": one} for n, one in enumerate(hostile)]
    assert call(gateway, "POST", "/notes/import", {"messages": messages}).status == 201
    exported = export(gateway, "notes", "markdown").decode()
    assert exported.count("\n## ") == len(hostile)
    assert "\n<!--" not in exported


@pytest.mark.parametrize("form", ["JSONL", "html", "", "json"])
def test_an_unknown_format(gateway: GatewayProcess, form: str) -> None:
    say(gateway, "hi", "notes")
    refused = call(gateway, "GET", f"/notes/export?format={form}")
    assert (refused.status, refused.error["param"]) == (400, "format")


PLAIN = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "1"},
    {"role": "user", "content": [{"type": "text", "text": "two"}]},
    {"role": "assistant", "content": "2"},
]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(PLAIN),
        json.dumps(PLAIN, indent=2),
        json.dumps({"messages": PLAIN}),
        json.dumps({"messages": PLAIN, "model": "openclaw"}, indent=1),
        "\n".join(map(json.dumps, PLAIN)),
        "\ufeff" + "\r\n\r\n".join(map(json.dumps, PLAIN)) + "\n",
    ],
    ids=["list", "indented", "object", "request", "lines", "BOM and CRLF"],
)
def test_plain_messages_are_imported(gateway: GatewayProcess, provider: ScriptedProvider, body: str) -> None:
    imported = call(gateway, "POST", "/notes/import", body.encode())
    assert imported.status == 201, imported.body
    assert imported.json == {
        "key": "agent:main:notes",
        "messages": 4,
        "skipped": {"messages": 1, "settings": []},
    }
    assert texts(get(gateway, "/notes/history")) == ["one", "1", "two", "2"]
    asked = [*PLAIN[1:], {"role": "user", "content": "three"}]
    answer = gateway.chat({"model": "openclaw", "messages": asked}, x_openclaw_session_key="notes")
    assert answer.status == 200
    assert texts(get(gateway, "/notes/history")) == ["one", "1", "two", "2", "three", "echo: three"]
    assert get(gateway, "/notes")["runCount"] == 3


def test_an_import_without_a_key_gets_one(gateway: GatewayProcess) -> None:
    imported = call(gateway, "POST", "/import", {"messages": PLAIN})
    assert imported.json["key"].startswith("agent:main:import-")
    assert keys(get(gateway, "")) == [imported.json["key"]]


def test_an_import_never_changes_a_conversation(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "notes")
    refused = call(gateway, "POST", "/notes/import", {"messages": PLAIN})
    assert (refused.status, refused.error["code"]) == (409, "session_conflict")
    assert texts(get(gateway, "/notes/history")) == ["hi", "echo: hi"]
    call(gateway, "POST", "/notes/reset")
    assert call(gateway, "POST", "/notes/import", {"messages": PLAIN}).status == 201
    assert texts(get(gateway, "/notes/history")) == ["one", "1", "two", "2"]
    assert get(gateway, "/notes")["runCount"] == 3


SESSION = {"type": "session", "version": 1, "settings": {}}
RUN = {"type": "run", "run": 1, "state": "finished", "startedAt": 1}
SAID = {"type": "message", "run": 1, "createdAt": 1, "message": {"role": "user", "content": "hi"}}
END = {"type": "end", "messages": 1}


@pytest.mark.parametrize(
    ("given", "says_so"),
    [
        ([], "empty"),
        ([SESSION], "not complete"),
        ([SESSION, RUN, SAID], "not complete"),
        ([SESSION, RUN, SAID, {**END, "messages": 2}], "has 2 messages, but 1"),
        ([SESSION, RUN, SAID, END, SAID], "Line 5"),
        ([SESSION, RUN, SAID, {"type": "error", "error": {}}], "broke off"),
        ([{**SESSION, "version": 2}, RUN, SAID, END], "version 2"),
        ([{**SESSION, "version": "1"}, RUN, SAID, END], "Line 1"),
        ([{**SESSION, "settings": []}, RUN, SAID, END], "Line 1"),
        ([{**SESSION, "label": 7}, RUN, SAID, END], "Line 1"),
        ([{**SESSION, "label": " "}, RUN, SAID, END], "invalid label"),
        ([{**SESSION, "createdAt": -1}, RUN, SAID, END], "Line 1"),
        ([SESSION, SAID, END], "Line 2"),
        ([SESSION, {**RUN, "state": "dancing"}, SAID, END], "Line 2"),
        ([SESSION, {**RUN, "startedAt": 2**60}, SAID, END], "Line 2"),
        ([SESSION, {**RUN, "promptTokens": 2**40}, SAID, END], "Line 2"),
        ([SESSION, {**RUN, "finishReason": "x" * 33}, SAID, END], "Line 2"),
        ([SESSION, {**RUN, "run": None}, SAID, END], "Line 2"),
        ([SESSION, RUN, {**SAID, "run": 2}, END], "Line 3"),
        ([SESSION, RUN, {**SAID, "state": "odd"}, END], "Line 3"),
        ([SESSION, RUN, {**SAID, "message": "hi"}, END], "Line 3"),
        ([SESSION, RUN, {**SAID, "message": {"role": "robot", "content": ""}}, END], "line 3.message.role"),
        ([SESSION, RUN, {**SAID, "message": {"role": "user"}}, END], "line 3.message.content"),
        ([SESSION, RUN, {**SAID, "type": "song"}, END], "Line 3"),
        ([SESSION, RUN, "nonsense", END], "Line 3"),
        ([{"role": "user", "content": "hi"}, {"role": "user"}], "line 2.content"),
        ([{"role": "user", "content": "hi"}, [1]], "Line 2"),
        ([{"role": "system", "content": "only"}], "no message"),
        ([7], "neither"),
        ([{"messages": {}}], "messages"),
        ([{"messages": []}], "no message"),
        ([{"messages": [7]}], "messages[0]"),
        ([{"nothing": 1}], "line 1.role"),
        ([[{"role": "user", "content": "hi"}, {"role": "tool", "content": "x"}]], "messages[1].tool_call_id"),
        (
            [[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}]],
            "base64",
        ),
        ([[]], "no message"),
    ],
    ids=str,
)
def test_a_wrong_import_is_refused_and_nothing_stored(
    gateway: GatewayProcess, given: list[Any], says_so: str
) -> None:
    body = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in given)
    refused = call(gateway, "POST", "/notes/import", body.encode())
    assert refused.status == 400, refused.body
    assert says_so in refused.error["message"]
    assert get(gateway, "")["sessions"] == []


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'[{"role": "user", "content": "\xff"}]', b"nonsense", b"\n\n"]
)
def test_what_is_no_json(gateway: GatewayProcess, body: bytes) -> None:
    refused = call(gateway, "POST", "/notes/import", body)
    assert (refused.status, refused.error["code"]) == (400, "invalid_json"), refused.body


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/agent:ghost:x/import", "unknown_agent"),
        ("/subagent:x/import", "invalid_session_key"),
        ("/agent::x/import", "invalid_session_key"),
    ],
)
def test_a_key_that_may_not_be_made(gateway: GatewayProcess, path: str, code: str) -> None:
    assert call(gateway, "POST", path, {"messages": PLAIN}).error["code"] == code


def test_an_import_is_bounded(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    config = config_for(provider.url)
    config["gateway"]["http"]["endpoints"]["chatCompletions"]["maxBodyBytes"] = 2000
    gateway = start_gateway(config)
    big = {"messages": [{"role": "user", "content": "x" * 3000}]}
    refused = call(gateway, "POST", "/notes/import", big)
    assert (refused.status, refused.error["code"]) == (413, "body_too_large")
    assert get(gateway, "")["sessions"] == []


def test_many_lines_are_imported(gateway: GatewayProcess) -> None:
    """More values than JSON in one piece may have."""
    said = [{**SAID, "message": {"role": "user", "content": f"{n}"}} for n in range(20_000)]
    body = "\n".join(map(json.dumps, [SESSION, RUN, *said, {**END, "messages": len(said)}]))
    assert call(gateway, "POST", "/notes/import", body.encode()).json["messages"] == 20_000
    assert get(gateway, "/notes")["messageCount"] == 20_000
    whole = [{"role": "user", "content": "x"}] * 40_000
    refused = call(gateway, "POST", "/other/import", json.dumps(whole).encode())
    assert (refused.status, "one message a line" in refused.error["message"]) == (413, True)


def test_settings_that_cannot_be_taken_over_are_named(gateway: GatewayProcess) -> None:
    settings = {"model": "gone/model", "thinkingLevel": "low", "spawnedBy": "agent:main:main", "mine": 1}
    body = "\n".join(map(json.dumps, [{**SESSION, "settings": settings}, RUN, SAID, END]))
    imported = call(gateway, "POST", "/notes/import", body.encode()).json
    assert imported["skipped"]["settings"] == ["model", "spawnedBy"]
    assert get(gateway, "/notes")["settings"] == {"thinkingLevel": "low", "mine": 1}


def test_a_run_that_went_on_is_imported_as_interrupted(gateway: GatewayProcess) -> None:
    body = "\n".join(map(json.dumps, [SESSION, {**RUN, "state": "running"}, SAID, END]))
    assert call(gateway, "POST", "/notes/import", body.encode()).status == 201
    assert get(gateway, "/notes")["phase"] == "idle"
    assert get(gateway, "/notes/history")["messages"][0]["runState"] == "interrupted"


def test_users_copy_their_own_sessions(share_gateway: ShareGateway, provider: ScriptedProvider) -> None:
    gateway = share_gateway(proxy_config(provider.url))
    ann, bob = {USER_HEADER: "ann"}, {USER_HEADER: "bob"}
    assert ask(gateway, "ann", "a secret", x_openclaw_session_key="notes").status == 200
    [notes] = call(gateway, "GET", "", headers=ann).json["sessions"]
    for method, path in (("POST", "fork"), ("GET", "export")):
        for name in ("notes", notes["key"]):
            assert call(gateway, method, f"/{name}/{path}", headers=bob).status == 404
    fork = call(gateway, "POST", "/notes/fork", headers=ann).json["key"]
    of_root = call(gateway, "POST", f"/{notes['key']}/fork", headers={USER_HEADER: "root"}).json["key"]
    exported = call(gateway, "GET", "/notes/export", headers=ann).body
    mine = call(gateway, "POST", "/import", exported, ann).json["key"]
    assert {one["key"] for one in call(gateway, "GET", "", headers=ann).json["sessions"]} == {
        *(notes["key"], fork, of_root, mine),
    }
    imported = call(gateway, "POST", f"/{notes['key']}/import", exported, bob).json["key"]
    assert imported != notes["key"]
    assert [one["key"] for one in call(gateway, "GET", "", headers=bob).json["sessions"]] == [imported]
    reader = {**ann, "x-openclaw-scopes": "operator.read"}
    assert call(gateway, "GET", "/notes/export", headers=reader).status == 200
    for path in ("/notes/fork", "/import", "/new/import"):
        assert call(gateway, "POST", path, exported, reader).status == 403


def test_over_websocket(gateway: GatewayProcess) -> None:
    say(gateway, "hi", "notes")
    with operator(gateway) as client:
        client.call("sessions.subscribe")
        forked = client.call("sessions.fork", {"key": "notes"})
        assert forked["entry"]["label"] == "hi (fork)"
        assert client.until("sessions.changed", sessionKey=forked["key"], reason="create")
        assert "no message" in client.refusal("sessions.fork", {"key": "notes", "messageId": "0"})["message"]
        imported = call(gateway, "POST", "/import", {"messages": PLAIN}).json["key"]
        assert client.until("sessions.changed", sessionKey=imported, reason="create")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/notes/fork", "POST"),
        ("POST", "/notes/export", "GET, HEAD"),
        ("PUT", "/notes/import", "POST"),
        ("PUT", "/import", "DELETE, GET, HEAD, PATCH, POST"),
    ],
)
def test_wrong_methods(gateway: GatewayProcess, method: str, path: str, allow: str) -> None:
    refused = call(gateway, method, path, headers={})
    assert (refused.status, refused.headers["Allow"]) == (405, allow)
    for wanted in allow.split(", "):
        assert call(gateway, wanted, path, {}, headers={}).status == 401
    assert AUTH
