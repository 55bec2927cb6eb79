"""Sub-agents that are stopped by the agent that has started them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from app.control.child import ChildRun
from app.control.subagents import Subagents
from app.errors import RunAborted
from app.events.types import RunFailed
from app.tools.sessions.host import Task
from tests.unit.agents.own_tools import run_context


def test_one_that_is_cancelled_is_aborted_even_if_who_follows_it_comes_later():
    runs: Any = SimpleNamespace()
    subagents = Subagents(runs, runs, runs)
    parent = run_context(is_stored=False)
    child = ChildRun(parent, "main", Task(text="Count the cranes"), None, 0)
    end = RunFailed.of(RunAborted("Its agent has stopped it."), aborted=True)
    run: Any = SimpleNamespace(
        shown_id="child", abort=lambda _error: True, wait=lambda _s: True, log=SimpleNamespace(end=end)
    )
    child.begin(run)
    subagents._children[child.id] = child
    assert subagents.cancel(parent, child.id).state == "aborted"
