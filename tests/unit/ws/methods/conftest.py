"""A gateway with a scripted model in a folder of the test's own, and clients that call its methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.auth.principal import Principal
from app.auth.scopes import ALL
from app.bootstrap import build_gateway
from app.config.loader import load_settings
from app.config.settings import Settings
from app.config.source.parsed_file import ParsedFile
from app.errors import GatewayError
from app.gateway import Gateway
from app.messages import Message
from app.routing.resolve import Route
from app.runs.request import RunRequest
from app.runs.run import Run
from app.ws.call import Call, Client, Handler
from app.ws.methods.approval_rules import APPROVAL_RULES
from app.ws.methods.approvals import APPROVALS
from app.ws.methods.config import CONFIG
from app.ws.methods.logs import LOGS
from app.ws.methods.models import MODELS
from app.ws.methods.questions import QUESTIONS
from app.ws.methods.sessions import SESSIONS
from app.ws.methods.status import STATUS
from app.ws.methods.stubs import STUBS
from app.ws.methods.usage import USAGE
from app.ws.params import Params

METHODS: Mapping[str, Handler] = {
    **APPROVALS,
    **APPROVAL_RULES,
    **CONFIG,
    **STUBS,
    **LOGS,
    **MODELS,
    **QUESTIONS,
    **SESSIONS,
    **STATUS,
    **USAGE,
}

TOKEN = "canary-token-0123456789"
WRITTEN = """{
  gateway: {auth: {mode: 'token', token: '%s'}},
  agents: {list: [
    {id: 'main', default: true, model: 'play/answer', workspace: '~/main',
     identity: {name: 'Ada', emoji: '🦀', avatar: 'https://pictures.example/ada.png'}},
    {id: 'beta', model: {primary: 'play/slow', fallbacks: ['play/unlisted']}, identity: {avatar: 'me.png'}},
  ]},
  models: {mode: 'replace', providers: {
    play: {api: 'scripted',
      models: [
        {id: 'answer', name: 'Answerer', contextWindow: 1000, input: ['text', 'image'],
         cost: {input: 2, output: 4}},
        {id: 'slow'}, {id: 'unlisted'},
      ],
      scripts: {
        answer: [{text: 'Hello.'}, {usage: {promptTokens: 100, completionTokens: 50}}, {finish: 'stop'}],
        slow: [{text: 'Hm'}, {hang: true}],
        unlisted: [{finish: 'stop'}],
      }},
    corp: {baseUrl: 'http://corp.example/v1', apiKey: 'canary-key-0123', models: [{id: 'big'}]},
  }},
}
""".replace("%s", TOKEN)


@dataclass
class FakePeer:
    """A connection that only remembers."""

    id: str = "conn-1"
    client: Client = Client("test", "test", "1.0", "linux", "Tess")  # noqa: RUF009  # it is frozen
    principal: Principal = Principal("token", scopes=ALL)  # noqa: RUF009
    protocol: int = 4
    connected_at: float = field(default_factory=time.time)
    watched: set[str] = field(default_factory=set)
    follows_sessions: bool = False
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def watch_session(self, key: str) -> None:
        self.watched.add(key)

    def send_event(self, event: str, payload: Mapping[str, Any], *, droppable: bool = False) -> None:
        self.events.append((event, payload))


@dataclass
class Office:
    gateway: Gateway
    file: Path
    load: Callable[[], Settings]
    peer: FakePeer = field(default_factory=FakePeer)

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        call = Call(
            params=Params(method, params or {}),
            gateway=self.gateway,
            peer=self.peer,
            peers=lambda: [self.peer],
            audience=lambda _: [self.peer],
            reply=_unexpected,
            later=_unexpected,
        )
        return METHODS[method](call)

    def refusal(self, method: str, params: Mapping[str, Any] | None = None) -> str:
        with pytest.raises(GatewayError) as caught:
            self.call(method, params)
        return caught.value.message

    def start(self, text: str = "hi", key: str = "agent:main:main", **more: Any) -> Run:
        agent_id = key.split(":")[1]
        messages = (Message("user", text),)
        return self.gateway.runs.start(RunRequest(Route(agent_id, key, "key"), messages, "ws", **more))

    def say(self, text: str = "hi", key: str = "agent:main:main", **more: Any) -> Run:
        """A whole turn."""
        run = self.start(text, key, **more)
        run.result()
        return run


def _unexpected(*_: Any) -> Any:
    raise AssertionError("a method that answers at once")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    file = tmp_path / ".openclaw" / "openclaw.json"
    file.parent.mkdir()
    file.write_text(WRITTEN, "utf-8")
    environ = {"HOME": str(tmp_path)}

    def load() -> Settings:
        return load_settings(environ, tmp_path)

    def load_file(other: ParsedFile) -> Settings:
        return load_settings(environ, tmp_path, other)

    gateway = build_gateway(load(), load, load_file)
    yield Office(gateway, file, load)
    gateway.drain(0)
    gateway.close()
