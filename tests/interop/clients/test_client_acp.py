"""OpenClaw's bridges between editors (Agent Client Protocol, JSON lines) and this gateway."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.interop.clients.client import Client
from tests.support.operator import Operator, operator
from tests.support.provider import PATIENCE, ScriptedProvider, hang, pause, says, text, wait_until

pytestmark = pytest.mark.timeout(900)


class Editor:
    """The editor's side of one bridge."""

    def __init__(self, bridge: subprocess.Popen[str]) -> None:
        self._bridge = bridge
        self._count = 0
        self.updates: list[dict[str, Any]] = []

    @property
    def text(self) -> str:
        """What the agent said."""
        chunks = [one for one in self.updates if one["sessionUpdate"] == "agent_message_chunk"]
        return "".join(one["content"]["text"] for one in chunks)

    def send(self, method: str, params: dict[str, Any], **more: Any) -> None:
        assert self._bridge.stdin is not None
        self._bridge.stdin.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}))
        self._bridge.stdin.write("\n")
        self._bridge.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The whole answer: it has `result` or `error`."""
        self._count += 1
        self.send(method, params, id=self._count)
        while True:
            frame = self.read()
            if frame.get("id") == self._count and "method" not in frame:
                return frame

    def read(self) -> dict[str, Any]:
        assert self._bridge.stdout is not None
        line = self._bridge.stdout.readline()
        assert line, "the bridge ended"
        frame: dict[str, Any] = json.loads(line)
        if frame.get("method") == "session/update":
            self.updates.append(frame["params"]["update"])
        return frame

    def prompt(self, session: str, text: str) -> dict[str, Any]:
        return self.ask("session/prompt", {"sessionId": session, "prompt": [{"type": "text", "text": text}]})


def connected(watcher: Operator) -> set[int]:
    """The connections there are, by the milliseconds at which they were made."""
    return {row["ts"] for row in watcher.call("system-presence") if row["reason"] == "connect"}


@contextmanager
def editor_with_session(client: Client) -> Iterator[tuple[Editor, str]]:
    with operator(client.gateway) as watcher:
        before = connected(watcher)  # the bridge of an earlier test may still be among them
        with client.running("acp") as bridge:
            editor = Editor(bridge)
            answer = editor.ask("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
            assert answer["result"]["protocolVersion"] == 1
            made = editor.ask("session/new", {"cwd": "/", "mcpServers": []})
            if client.family == "clawdbot":  # it takes prompts before it has been let in, and loses them
                wait_until(lambda: connected(watcher) - before, PATIENCE, "the bridge")
                time.sleep(2)
            yield editor, made["result"]["sessionId"]


def test_prompts_are_answered_in_one_conversation(client: Client, provider: ScriptedProvider) -> None:
    provider.plays(says("The answer", " comes ", "whole."), says("And ", "again."))
    with editor_with_session(client) as (editor, session):
        assert editor.prompt(session, "first")["result"] == {"stopReason": "end_turn"}
        assert editor.text == "The answer comes whole."
        editor.updates.clear()
        assert editor.prompt(session, "second")["result"] == {"stopReason": "end_turn"}
        assert editor.text == "And again."
    (_, first), answer, (_, second) = provider.messages()[1:]
    assert first.endswith("first")  # after the folder that the editor works in
    assert answer == ("assistant", "The answer comes whole.")
    assert second.endswith("second")


def test_a_prompt_is_cancelled(client: Client, provider: ScriptedProvider) -> None:
    provider.plays([text("begun"), pause(0.3), text(" and"), hang()])
    with editor_with_session(client) as (editor, session):
        editor.send(
            "session/prompt", {"sessionId": session, "prompt": [{"type": "text", "text": "go on"}]}, id="p"
        )
        while not editor.text:
            editor.read()
        editor.send("session/cancel", {"sessionId": session})
        while (frame := editor.read()).get("id") != "p":
            pass
        assert frame["result"] == {"stopReason": "cancelled"}
        provider.wait_for_leaving()
