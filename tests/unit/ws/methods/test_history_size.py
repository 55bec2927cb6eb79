"""How much of a session one response shows."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.ws.methods import history
from app.ws.methods.history import OMITTED, newest_that_fit
from tests.unit.ws.methods.conftest import Office


def message(seq: int, text: str, image: str = "") -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    if image:
        content.append({"type": "image", "mimeType": "image/png", "data": image})
    return {"role": "user", "content": content, "__openclaw": {"id": str(seq), "seq": seq}}


def seqs(messages: list[dict[str, Any]]) -> list[int]:
    return [one["__openclaw"]["seq"] for one in messages]


def test_all_are_shown_while_there_is_room():
    messages = [message(number, "x" * 100) for number in range(1, 6)]
    assert newest_that_fit(messages, 10_000) == messages
    assert newest_that_fit([], 10) == []


def test_the_newest_are_shown_first():
    messages = [message(number, "x" * 100) for number in range(1, 101)]
    shown = newest_that_fit(messages, 2000)
    assert seqs(shown) == list(range(101 - len(shown), 101))
    assert 1000 < len(orjson.dumps(shown)) <= 2000 + 2 + len(shown)


def test_images_give_way_to_text():
    messages = [message(number, f"text {number}", "A" * 400) for number in range(1, 5)]
    shown = newest_that_fit(messages, 1500)
    assert seqs(shown) == [1, 2, 3, 4]
    assert [one["content"][0]["text"] for one in shown] == [f"text {number}" for number in range(1, 5)]
    assert shown[3] == messages[3]
    assert shown[0]["content"][1] == {
        "type": "image",
        "mimeType": "image/png",
        "omitted": True,
        "bytes": 300,
    }


def test_a_message_that_is_too_large_is_replaced_and_the_others_are_shown():
    messages = [message(1, "before"), message(2, "x" * 1000), message(3, "after")]
    before, replaced, after = newest_that_fit(messages, 1000)
    assert (before, after) == (messages[0], messages[2])
    assert replaced["content"] == [{"type": "text", "text": OMITTED}]
    assert replaced["__openclaw"] == {"id": "2", "seq": 2, "truncated": True, "reason": "oversized"}
    assert replaced["role"] == "user"


def test_the_newest_is_shown_however_little_room_there_is():
    assert seqs(newest_that_fit([message(1, "a"), message(2, "b")], 1)) == [2]


def test_what_is_left_out_can_be_asked_for(office: Office):
    for number in range(4):
        office.say(f"{number} " + "x" * 1000)
    first = office.call("sessions.get", {"key": "main", "maxBytes": 4000})
    assert (first["hasMore"], first["totalMessages"]) == (True, 8)
    found, page = list(first["messages"]), first
    while page.get("hasMore"):
        params = {"key": "main", "maxBytes": 4000, "offset": page["nextOffset"]}
        page = office.call("sessions.get", params)
        found = page["messages"] + found
    assert seqs(found) == list(range(1, 9))
    assert found == office.call("sessions.get", {"key": "main"})["messages"]


def test_no_client_gets_more_than_the_bound(office: Office, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "MAX_BYTES", 4000)
    for number in range(4):
        office.say(f"{number} " + "x" * 1000)
    shown = office.call("sessions.get", {"key": "main", "maxBytes": 1_000_000})
    assert len(orjson.dumps(shown)) < 4500
    assert shown["hasMore"]
    refused = office.refusal("sessions.get", {"key": "main", "maxBytes": "all"})
    assert "at /maxBytes: must be integer" in refused
