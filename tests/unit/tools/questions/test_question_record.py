"""Answers to questions: what is taken for one."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidRequest
from app.tools.questions.record import MAX_TEXT, Asked, Option, Question, load_answers


def question(name: str, *, is_multiple: bool = False) -> Question:
    options = (Option("Red"), Option("Blue"))
    return Question(id=name, header="Colour", question="Which?", options=options, is_multiple=is_multiple)


ASKED = Asked(
    id="1",
    questions=(question("one"), question("some", is_multiple=True)),
    agent_id="main",
    session_key="agent:main:main",
    run_id="run",
    created_at=0,
    expires_at=1,
)


@pytest.mark.parametrize("wrapped", [True, False])
def test_labels_and_other_texts_are_answers(wrapped: bool):
    given: dict[str, Any] = {"one": "Red", "some": ["Blue", " something else "]}
    answers = load_answers(ASKED, {"answers": given} if wrapped else given)
    assert answers == {"one": ["Red"], "some": ["Blue", "something else"]}


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        "Red",
        {},
        {"one": ["Red"]},
        {"one": ["Red"], "some": []},
        {"one": ["Red", "Blue"], "some": ["Red"]},
        {"one": [" "], "some": ["Red"]},
        {"one": [1], "some": ["Red"]},
        {"one": {"label": "Red"}, "some": ["Red"]},
        {"one": ["x" * (MAX_TEXT + 1)], "some": ["Red"]},
        {"one": ["Red"], "some": ["a", "b", "c", "d", "e", "f"]},
        {"one": ["Red"], "some": ["Red"], "other": ["x"]},
        {"answers": {"one": None}},
    ],
)
def test_anything_else_is_refused(given: object):
    with pytest.raises(InvalidRequest):
        load_answers(ASKED, given)
