"""`ask_user`: an agent asks, over WebSocket and at the terminal, and goes on with the answer."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

from tests.e2e.conftest import ShareGateway
from tests.support.agent_turns import calls, result
from tests.support.gateway import GatewayProcess, agent_config
from tests.support.operator import Operator, operator
from tests.support.provider import PATIENCE, ScriptedProvider, says
from tests.support.proxy_users import USER_HEADER, connected

COLOUR = {
    "id": "colour",
    "header": "Colour",
    "question": "Which colour?",
    "options": [{"label": "Red", "description": "as the sun"}, {"label": "Blue"}],
}
TOPPINGS = {
    "id": "toppings",
    "header": "Toppings",
    "question": "What on top?",
    "options": [{"label": "Ham"}, {"label": "Egg"}],
    "multiSelect": True,
}


@pytest.fixture
def gateway(share_gateway: ShareGateway, provider: ScriptedProvider) -> GatewayProcess:
    return share_gateway(agent_config(provider.url))


def asks(*questions: dict[str, Any], **more: Any) -> list[Any]:
    return calls("ask_user", {"questions": list(questions), **more})


def start(client: Operator, session: str = "asking") -> str:
    run_id = str(uuid.uuid4())
    client.call("chat.send", {"sessionKey": session, "message": "Go", "idempotencyKey": run_id})
    return run_id


def test_a_question_is_answered_over_websocket(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.plays(asks(COLOUR, TOPPINGS), says("Thank you."))
    with operator(gateway) as client:
        run_id = start(client)
        asked = client.until("question.requested")
        assert (asked["runId"], asked["sessionKey"], asked["status"]) == (
            run_id,
            "agent:main:asking",
            "pending",
        )
        assert asked["questions"][0]["questionId"] == "colour"
        assert asked["questions"][0]["options"] == COLOUR["options"]
        assert asked["questions"][1]["multiSelect"] is True
        assert client.call("question.list")["questions"] == [asked]
        wrong = client.refusal("question.resolve", {"id": asked["id"], "answers": {"answers": {"x": ["y"]}}})
        assert "There is no question 'x'" in wrong["message"]
        wrong = client.refusal("question.resolve", {"id": asked["id"], "answers": {"colour": ["Red"]}})
        assert "toppings" in wrong["message"]
        answers = {"answers": {"colour": ["Green, please"], "toppings": ["Ham", "Egg"]}}
        waiting = client.request("question.waitAnswer", {"id": asked["id"]})
        client.call("question.resolve", {"id": asked["id"], "answers": answers})
        resolved = client.until("chat", state="final", runId=run_id)
        assert resolved["message"]["content"][0]["text"] == "Thank you."
        (event,) = client.events("question.resolved")
        assert (event["status"], event["answers"]) == ("answered", answers)
        assert client.answer(waiting)["payload"]["answers"] == answers
        assert client.call("question.get", {"id": asked["id"]})["question"]["status"] == "answered"
        assert client.call("question.list")["questions"] == []
        again = client.refusal("question.resolve", {"id": asked["id"], "answers": answers})
        assert "over already" in again["message"]
    assert result(provider) == {"status": "answered", **answers}


def test_nobody_who_could_answer_is_told_at_once(gateway: GatewayProcess, provider: ScriptedProvider):
    provider.plays(asks(COLOUR), says("Which colour?"))
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "Go"}]}
    assert gateway.chat(body).text == "Which colour?"
    assert result(provider)["status"] == "unavailable"
    provider.plays(asks(COLOUR), says("Which colour?"))
    with operator(gateway, scopes=["operator.write"]) as client:
        client.until("chat", state="final", runId=start(client))
    assert "Ask in your answer" in result(provider)["note"]


def test_a_run_over_http_is_answered_by_somebody_connected(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    provider.plays(asks(COLOUR), says("Blue then."))
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "Go"}]}
    answers: list[str] = []
    with operator(gateway, scopes=["operator.questions"]) as client:
        asking = threading.Thread(target=lambda: answers.append(gateway.chat(body).text))
        asking.start()
        asked = client.until("question.requested")
        client.call("question.resolve", {"id": asked["id"], "answers": {"answers": {"colour": ["Blue"]}}})
        asking.join(PATIENCE)
    assert answers == ["Blue then."]


def test_a_question_is_refused_expires_and_ends_with_its_run(
    gateway: GatewayProcess, provider: ScriptedProvider
):
    with operator(gateway) as client:
        provider.plays(asks(COLOUR), says("ok"), asks(COLOUR, timeoutSeconds=1), says("ok"), asks(COLOUR))
        run_id = start(client)
        asked = client.until("question.requested")
        client.call("question.resolve", {"id": asked["id"], "cancel": True})
        client.until("chat", state="final", runId=run_id)
        assert result(provider)["status"] == "cancelled"
        client.until("chat", state="final", runId=start(client))
        assert result(provider)["status"] == "expired"
        run_id = start(client)
        asked = client.until("question.requested")
        client.call("chat.abort", {"sessionKey": "asking", "runId": run_id})
        shown = client.call("question.get", {"id": asked["id"]})["question"]
        assert shown["status"] == "cancelled"


def test_the_clock_of_the_run_stands_still(share_gateway: ShareGateway, provider: ScriptedProvider):
    gateway = share_gateway(agent_config(provider.url, timeoutSeconds=3))
    provider.plays(asks(COLOUR, timeoutSeconds=6), says("ok"))
    with operator(gateway) as client:
        client.until("chat", state="final", runId=start(client))
    assert result(provider)["status"] == "expired"


def test_clients_ask_questions_of_their_own(gateway: GatewayProcess):
    own = {"questionId": "colour", "header": "Colour", "question": "Which?", "options": [{"label": "Red"}]}
    with operator(gateway) as client:
        asked = client.call("question.request", {"questions": [own], "timeoutMs": 60_000})
        assert client.call("question.waitAnswer", {"id": asked["id"], "timeoutMs": 10})["status"] == "pending"
        answers = {"answers": {"colour": ["Red"]}}
        client.call("question.resolve", {"id": asked["id"], "answers": answers})
        assert client.call("question.waitAnswer", {"id": asked["id"]})["answers"] == answers
        asked = client.call("question.request", {"questions": [own], "timeoutMs": 50})
        assert client.call("question.waitAnswer", {"id": asked["id"]})["status"] == "expired"
        for wrong in ([], "x", [{}], [own, own], [{**own, "questionId": "A b"}], [own] * 4, None):
            assert client.refusal("question.request", {"questions": wrong})["code"] == "INVALID_REQUEST"
        for method in ("question.get", "question.waitAnswer", "question.resolve"):
            assert "unknown" in client.refusal(method, {"id": "nothing", "cancel": True})["message"]


def test_users_of_a_proxy_answer_their_own_agents_alone(
    share_gateway: ShareGateway, provider: ScriptedProvider
):
    config = agent_config(provider.url)
    proxy = {"userHeader": USER_HEADER, "allowLoopback": True, "adminUsers": ["ann", "bob"]}
    config["gateway"] |= {
        "trustedProxies": ["127.0.0.0/8"],
        "auth": {"mode": "trusted-proxy", "trustedProxy": proxy},
    }
    gateway = share_gateway(config)
    # Admins whom the proxy leaves without `operator.admin` are users with scopes of its choice.
    capped = {"x-openclaw-scopes": "operator.write, operator.questions"}
    provider.plays(asks(COLOUR), says("ok"))
    with connected(gateway, "ann", headers=capped) as ann, connected(gateway, "bob", headers=capped) as bob:
        run_id = start(ann)
        asked = ann.until("question.requested")
        assert bob.call("question.list")["questions"] == []
        assert "unknown" in bob.refusal("question.resolve", {"id": asked["id"], "cancel": True})["message"]
        ann.call("question.resolve", {"id": asked["id"], "cancel": True})
        ann.until("chat", state="final", runId=run_id)
        assert bob.events("question.requested") == []


@pytest.mark.parametrize("where", [["--local"], []])
def test_a_question_is_answered_at_the_terminal(
    gateway: GatewayProcess, provider: ScriptedProvider, where: list[str]
):
    provider.plays(asks(COLOUR, TOPPINGS), says("Done."))
    with gateway.at_terminal("agent", *where, "-m", "Do it") as terminal:
        terminal.until("own.\r\n> ")
        assert "1. Red: as the sun" in terminal.shown
        terminal.types("2\n")
        terminal.until("What on top?")
        terminal.types("1,2\n")
        assert terminal.ends() == (0, "Done.\n")
    assert result(provider)["answers"] == {"colour": ["Blue"], "toppings": ["Ham", "Egg"]}


@pytest.mark.parametrize("where", [["--local"], []])
def test_without_a_terminal_nobody_is_asked(
    gateway: GatewayProcess, provider: ScriptedProvider, where: list[str]
):
    provider.plays(asks(COLOUR), says("Done."))
    done = gateway.command("agent", *where, "-m", "Do it", stdin="1\n")
    assert (done.returncode, done.stdout) == (0, "Done.\n")
    assert result(provider)["status"] == "unavailable"
