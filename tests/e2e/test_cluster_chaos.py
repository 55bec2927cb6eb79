"""Hours of bad luck in a minute: workers are killed, Redis and PostgreSQL are restarted, and clients go on.

Each client has a session of its own and says one thing after the other in it, each under a key. Whatever
breaks, it asks again with the same key, at any host, until it has an answer. In the end each session must
have each turn once, in order, with its answer, and no tool that changes something was run twice for a turn.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from app.client.errors import ClientError
from tests.support.cluster import Cluster
from tests.support.gateway import TOKEN, GatewayProcess, agent_config
from tests.support.operator import Operator, connect_params
from tests.support.provider import ScriptedProvider, Step, done, finish, pause, says, text, tool_call, usage
from tests.support.servers import PostgresServer, RedisServer

SESSIONS, TURNS = 300, 4
THINKING = 15.0  # seconds at most, between an answer and the next turn
SOCKET_CLIENTS = 60  # of the sessions' clients, those that use a WebSocket
KILL_EVERY = 3.0
PATIENCE = 150.0  # seconds until the last turn has its answer
AUTH = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
APP = "tests.support.chaos_wsgi:app"


class EagerProvider(ScriptedProvider):
    """Answers by what it is told: `turn s7-2` is answered at once, `note s7-2` after a call of a tool that
    notes it down, both in pieces.
    """

    def script_for(self, body: dict[str, Any], headers: dict[str, str]) -> list[Step]:
        with self._lock:
            self.requests.append({"messages": len(body["messages"])})
        last = body["messages"][-1]
        asked = next(one["content"] for one in reversed(body["messages"]) if one["role"] == "user")
        kind, _, name = str(asked).partition(" ")
        if kind == "note" and last["role"] == "user":
            call = tool_call(0, f"call_{name}", "note", json.dumps({"name": name}))
            return [text("Noting. "), pause(0.02), call, finish("tool_calls"), usage(3, 3), done()]
        return [pause(0.05), *says("done ", name)]


class Client:
    """Says its turns, and counts what becomes of each attempt."""

    def __init__(self, number: int, cluster: Cluster, counts: Counter[str], give_up: threading.Event) -> None:
        self.session = f"s{number}"
        self._chance = random.Random(number)
        self._cluster = cluster
        self.counts = counts
        self._give_up = give_up
        self._uses_socket = number % (SESSIONS // SOCKET_CLIENTS) == 0
        self._streams = number % 2 == 0
        self.tried = ""  # what is being tried now, for the report

    def run(self) -> None:
        for turn in range(TURNS):
            name = f"{self.session}-{turn}"
            said = f"{'note' if self._chance.random() < 0.4 else 'turn'} {name}"
            self._give_up.wait(self._chance.uniform(0.0, THINKING))
            self.counts["turns sent"] += 1
            attempts = 0
            while not self._give_up.is_set():
                attempts += 1
                self.tried = f"{said}, attempt {attempts}"
                if self._attempt(said, name):
                    self.counts["turns answered"] += 1
                    self.tried = ""
                    break
                self.counts["attempts that failed"] += 1
                self._give_up.wait(self._chance.uniform(0.1, 0.6))

    def _attempt(self, said: str, name: str) -> bool:
        host = self._chance.choice(self._cluster.hosts)
        try:
            if self._uses_socket:
                return self._over_websocket(host, said, name)
            if self._streams:
                return self._as_stream(host, said, name)
            return self._as_whole(host, said, name)
        except (OSError, HTTPException, ClientError) as error:
            self.counts[f"connection broken ({type(error).__name__})"] += 1
            return False

    def _body(self, said: str, *, stream: bool) -> dict[str, Any]:
        message = {"role": "user", "content": said}
        return {"model": "openclaw", "user": self.session, "stream": stream, "messages": [message]}

    def _as_whole(self, host: GatewayProcess, said: str, name: str) -> bool:
        headers = {**AUTH, "Idempotency-Key": f"key-{name}"}
        answer = host.request("POST", "/v1/chat/completions", self._body(said, stream=False), headers, 60)
        self._check_status(answer.status, answer.body)
        return answer.status == 200 and self._is_right(answer.text, name)

    def _as_stream(self, host: GatewayProcess, said: str, name: str) -> bool:
        headers = {**AUTH, "Idempotency-Key": f"key-{name}"}
        answer = host.request("POST", "/v1/chat/completions", self._body(said, stream=True), headers, 60)
        if answer.status != 200:
            self._check_status(answer.status, answer.body)
            return False
        events = answer.events()
        failed = [one for one in events if isinstance(one, dict) and "error" in one]
        choices = [one["choices"][0] for one in events if isinstance(one, dict) and one.get("choices")]
        finished = [one for one in choices if one["finish_reason"]]
        ends = (len(failed), len(finished), events.count("[DONE]"))
        assert ends in ((0, 1, 1), (1, 0, 1)), (name, events)  # one honest end
        if failed:
            self.counts[f"streams that ended in an error ({failed[0]['error']['code']})"] += 1
            return False
        return self._is_right("".join(one["delta"].get("content", "") for one in choices), name)

    def _over_websocket(self, host: GatewayProcess, said: str, name: str) -> bool:
        with Operator(host) as client:
            client.receive()
            client.call("connect", connect_params())
            key = f"agent:main:{self.session}"
            params = {"sessionKey": key, "message": said, "idempotencyKey": f"run-{name}"}
            answer = client.response(client.request("chat.send", params), 30)
            if not answer["ok"]:
                self.counts[f"chat.send refused ({answer['error']['code']})"] += 1
                return False
            return self._ended_well(client, f"run-{name}")

    def _ended_well(self, client: Operator, run_id: str) -> bool:
        waiting = client.request("agent.wait", {"runId": run_id, "timeoutMs": 30_000})
        ended = client.response(waiting, 45)
        status = ended["payload"]["status"] if ended["ok"] else ended["error"]["code"]
        self.counts[f"agent.wait: {status}"] += 1
        return bool(status == "ok")

    def _check_status(self, status: int, body: bytes) -> None:
        self.counts[f"status {status}"] += 1
        assert status in (200, 429, 500, 502, 503, 504), body
        assert status != 500, body

    def _is_right(self, answer: str, name: str) -> bool:
        assert answer.endswith(f"done {name}"), (answer, name)
        return True


class Outcome:
    """What is in the database and in the notes when all is over."""

    def __init__(self, cluster: Cluster, notes: Path) -> None:
        self.counts = Counter({"turns lost": 0, "turns doubled": 0})
        self.wrong: list[str] = []
        rows = cluster.rows(
            "SELECT s.key, s.label, m.role, m.content, r.fence FROM messages m "
            "JOIN sessions s ON s.id = m.session JOIN runs r ON r.id = m.run_id "
            "WHERE m.replaced_by IS NULL ORDER BY s.id, m.turn, m.position"
        )
        self._said: dict[str, list[tuple[str, str]]] = {}
        for key, label, role, content, fence in rows:
            session = label if label else key.rpartition(":")[2]
            body = json.loads(content)
            said = body["content"]
            self._said.setdefault(session, []).append((role, said))
            self.counts["messages of runs that were resumed"] += fence > 1
        self.noted = Counter(notes.read_text().split()) if notes.exists() else Counter()
        self.counts["tools run"] = sum(self.noted.values())

    def check(self, number: int) -> None:
        session = f"s{number}"
        messages = self._said.get(session, [])
        asked = [str(text).partition(" ")[2] for role, text in messages if role == "user"]
        wanted = [f"{session}-{turn}" for turn in range(TURNS)]
        self.counts["turns stored"] += len(set(asked) & set(wanted))
        self.counts["turns lost"] += len(set(wanted) - set(asked))
        self.counts["turns doubled"] += len(asked) - len(set(asked))
        answered = [
            str(text).rpartition("done ")[2]
            for role, text in messages
            if role == "assistant" and "done" in text
        ]
        if asked != wanted or answered != wanted:
            self.wrong.append(f"{session}: asked {asked}, answered {answered}")


def trouble(cluster: Cluster, over: threading.Event, counts: Counter[str]) -> None:
    """Kill a worker every few seconds, restart Redis once and PostgreSQL once."""
    chance = random.Random(7)
    beats = 0
    while not over.wait(KILL_EVERY):
        beats += 1
        if beats == 4:
            cluster.redis.stop()
            time.sleep(1)
            cluster.redis.start()
            counts["Redis restarted"] += 1
        elif beats == 7:
            cluster.postgres.stop()
            time.sleep(1)
            cluster.postgres.start()
            counts["PostgreSQL restarted"] += 1
        elif beats <= 14 and cluster.kill_a_worker(chance) is not None:
            counts["workers killed"] += 1


@pytest.fixture
def own_servers() -> Iterator[tuple[PostgresServer, RedisServer]]:
    with PostgresServer() as postgres, RedisServer() as redis:
        yield postgres, redis


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_turn_is_lost_or_doubled(own_servers: tuple[PostgresServer, RedisServer], tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    counts: Counter[str] = Counter()
    over, give_up = threading.Event(), threading.Event()
    with EagerProvider() as provider:
        config = agent_config(provider.url, {"allow": ["note"]}, maxTurns=6)
        cluster = Cluster(tmp_path, config, *own_servers, app=APP, CHAOS_NOTES=str(notes))
        with cluster:
            clients = [Client(number, cluster, counts, give_up) for number in range(SESSIONS)]
            work = [client.run for client in clients]
            failures = run_all(work, lambda: trouble(cluster, over, counts), over, give_up)
            outcome = Outcome(cluster, notes)
            for number in range(SESSIONS):
                outcome.check(number)
    counts.update(outcome.counts)
    lines = [f"{count:7} {what}" for what, count in sorted(counts.items())]
    report = "\n".join([*lines, *(f"unfinished: {client.tried}" for client in clients if client.tried)])
    sys.stdout.write(f"\n{report}\n")
    assert failures == [], report
    assert outcome.wrong == [], report
    assert counts["turns answered"] == SESSIONS * TURNS, report
    assert counts["turns lost"] == counts["turns doubled"] == 0, report
    assert [name for name, times in outcome.noted.items() if times > 1] == [], report
    assert counts["workers killed"] > 3, report
    assert counts["Redis restarted"] == counts["PostgreSQL restarted"] == 1, report


def run_all(
    work: list[Callable[[], None]],
    beside: Callable[[], None],
    over: threading.Event,
    give_up: threading.Event,
) -> list[BaseException]:
    """Run all of it at once, and `beside` with it, until the work is done or the patience is over.

    Returns what was raised.
    """
    failures: list[BaseException] = []

    def guarded(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(one,)) for one in work]
    troubling = threading.Thread(target=guarded, args=(beside,))
    troubling.start()
    for thread in threads:
        thread.start()
        with suppress(InterruptedError):
            time.sleep(0.01)
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    give_up.set()
    over.set()
    for thread in (*threads, troubling):
        thread.join(90)
    return failures
