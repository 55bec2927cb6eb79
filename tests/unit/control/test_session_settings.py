"""What may be set for a session."""

from __future__ import annotations

from typing import Any, cast

import pytest

from app.control.models import Models
from app.control.session_settings import MAX_OTHER_BYTES, load_changes, needs_admin
from app.errors import InvalidRequest
from app.sessions.keys import MAX_LABEL


class FakeModels:
    """Knows one model."""

    def find(self, wanted: str) -> str:
        if wanted != "big":
            raise InvalidRequest(f"Unknown model {wanted!r}.")
        return "corp/big"


def load(**given: Any) -> dict[str, Any]:
    return load_changes(given, cast(Models, FakeModels()))


def test_values_are_normalized():
    given = {"label": "  Work ", "model": "big", "thinkingLevel": " HIGH", "displayName": "Ada"}
    loaded = {"label": "Work", "model": "corp/big", "thinkingLevel": "high", "displayName": "Ada"}
    assert load(**given) == loaded


def test_what_names_the_session_is_not_a_setting_and_none_clears():
    assert load(key="main", agentId="main", updatedAt=1, label=None) == {"label": None}


def test_settings_of_newer_clients_are_kept():
    assert load(somethingNew={"of": ["a", 1]}) == {"somethingNew": {"of": ["a", 1]}}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("label", " ", "invalid label: empty"),
        ("label", "x" * (MAX_LABEL + 1), f"invalid label: too long (max {MAX_LABEL})"),
        ("label", 1, "invalid label: must be a string"),
        ("model", "small", "Unknown model 'small'."),
        ("sendPolicy", "maybe", "invalid sendPolicy (use allow|deny)"),
        ("other", "x" * MAX_OTHER_BYTES, "invalid other: too long"),
        ("other", "\ud800", "invalid other: not valid text"),
    ],
)
def test_what_is_refused(name: str, value: Any, message: str):
    with pytest.raises(InvalidRequest) as caught:
        load(**{name: value})
    assert caught.value.message == message


def test_which_settings_need_admin():
    assert not needs_admin({"label": "x", "model": "corp/big", "pinned": True})
    assert needs_admin({"label": "x", "sendPolicy": "deny"})
    assert not needs_admin({})
