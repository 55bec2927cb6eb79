"""A run that was taken over while the database went away is gone on with when it is back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import StorageUnavailable
from app.runs import resume
from app.runs.resume import Resumption
from app.sessions.orphans import Orphan, TakenOver

ORPHAN = Orphan("r1", "agent:main:k", "me", 2, True, "{}", 1, 1, accepted_at=0)


class Desk:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_down = True
        self.adopted: list[str] = []
        self.runs: Any = SimpleNamespace(draining=False, arriving=set(), prepare=lambda request: request)
        self.runs.adopt = lambda run, _accepted, _events: self.adopted.append(run.id)
        self.found = [TakenOver(0, [ORPHAN]), TakenOver(1), TakenOver(0)]
        upkeep: Any = SimpleNamespace(take_over=lambda _decide: self.found.pop(0))
        store: Any = SimpleNamespace(left=self._left)
        run = SimpleNamespace(id="r1", session_key="agent:main:k", earlier=None, started_at=0.0)
        monkeypatch.setattr(resume, "rebuild", lambda *_: run)
        self.resumption = Resumption(self.runs, store, upkeep, lambda _run_id: ())

    def _left(self, _run_id: str) -> Any:
        if self.is_down:
            raise StorageUnavailable("The database is away.")
        return SimpleNamespace(input=(), steps=(), usage=None, model=None)


def test_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    with pytest.raises(StorageUnavailable):
        desk.resumption.look()
    assert (desk.adopted, desk.runs.arriving) == ([], {"r1"})  # nobody may take it for forgotten
    desk.is_down = False
    assert desk.resumption.look() == 1
    assert (desk.adopted, desk.runs.arriving) == (["r1"], set())
    assert desk.resumption.look() == 0
    assert desk.adopted == ["r1"]
