"""Drives one run from its place in the queue to its last event: lane → history → loop → save → publish.

It runs on the run's own greenlet. Whatever happens, the log gets exactly one last event, the lane is left,
and a stored session has the turn with the right mark on it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app import logs
from app.agents.loop import AgentTask, Answer, run_agent
from app.errors import GatewayError, InternalError
from app.events.types import RunFailed, RunFinished
from app.messages import Message
from app.runs.run import Run
from app.sessions.history import reconcile
from app.sessions.lanes import Ticket
from app.sessions.store import MessageState, SessionStore

logger = logging.getLogger("app.runs")

BuildTask = Callable[[Run, Sequence[Message]], AgentTask]


@dataclass(frozen=True, slots=True)
class Place:
    """A stored run's place: its turn in the lane, and where its words are kept."""

    ticket: Ticket
    store: SessionStore


def drive(run: Run, place: Place | None, build_task: BuildTask) -> None:
    """`place` is None for a stateless run: it waits for nobody and nothing of it is kept."""
    logs.request_id.set(run.request.request_id)
    answer = Answer()
    end: RunFinished | RunFailed
    try:
        if place is not None:
            place.ticket.wait(run.cancel)
        end = _answer(run, place, build_task, answer)
    except GatewayError as error:
        end = _failed(run, place, answer, error)
    except Exception:
        logger.exception("run failed on a fault of the gateway")
        end = _failed(run, place, answer, InternalError("The gateway failed on this request."))
    finally:
        if place is not None:
            place.ticket.leave()
    run.log.append(end)
    _log_end(run, answer, end)


def _answer(run: Run, place: Place | None, build_task: BuildTask, answer: Answer) -> RunFinished:
    run.deadline = time.monotonic() + run.agent.timeout_seconds
    messages = run.request.messages if place is None else _with_history(run, place.store)
    for event in run_agent(build_task(run, messages), answer, run.cancel):
        if isinstance(event, RunFinished):
            if place is not None:
                _save_finished(run, place.store, answer, event)
            return event
        run.log.append(event)
    raise AssertionError("an agent ended without its last event")


def _with_history(run: Run, store: SessionStore) -> Sequence[Message]:
    """The stored turns and what is new of the request, with the store brought into line."""
    stored = store.history(run.session_key, run.id)
    told = reconcile(stored, run.request.messages)
    if told.replaced or told.new != tuple(own_turn(run.request.messages)):
        store.reconcile(run.id, told.replaced, told.new)
    kept = set(told.kept)
    return [*(one.message for one in stored if one.id in kept), *told.new]


def own_turn(messages: Sequence[Message]) -> Sequence[Message]:
    """What the request adds for certain: all behind the last thing the assistant said."""
    for position in range(len(messages) - 2, -1, -1):
        if messages[position].role == "assistant":
            return messages[position + 1 :]
    return messages


def _save_finished(run: Run, store: SessionStore, answer: Answer, end: RunFinished) -> None:
    store.finish(
        run.id,
        "finished",
        [(answer.as_message(), "complete")],
        finish_reason=end.reason,
        model=answer.model,
        usage=end.usage,
    )


def _failed(run: Run, place: Place | None, answer: Answer, error: GatewayError) -> RunFailed:
    aborted = run.cancel.error is error
    if place is not None:
        _save_failed(run, place.store, answer, error, aborted)
    return RunFailed(error, aborted=aborted)


def _save_failed(run: Run, store: SessionStore, answer: Answer, error: GatewayError, aborted: bool) -> None:
    partial: list[tuple[Message, MessageState]] = []
    if not answer.empty:
        partial.append((answer.as_message(), "partial"))
    try:
        store.finish(
            run.id,
            "aborted" if aborted else "failed",
            partial,
            error_code=error.code,
            error_message=error.message,
            model=answer.model,
        )
    except GatewayError as trouble:
        # The run has failed already and says so; that its mark is missing is for the operator.
        logger.error("the end of a failed run could not be stored: %s", trouble.message)  # noqa: TRY400


def _log_end(run: Run, answer: Answer, end: RunFinished | RunFailed) -> None:
    failed = end if isinstance(end, RunFailed) else None
    finished = end if isinstance(end, RunFinished) else None
    logs.log_event(
        logger,
        logging.INFO,
        ("run aborted" if failed.aborted else "run failed") if failed else "run finished",
        run_id=run.id,
        agent=run.agent.id,
        session_key=run.session_key,
        model=answer.model,
        seconds=round(time.time() - run.started_at, 3),
        finish_reason=finished.reason if finished else None,
        prompt_tokens=finished.usage.prompt_tokens if finished else None,
        completion_tokens=finished.usage.completion_tokens if finished else None,
        code=failed.error.code if failed else None,
        error=failed.error.message if failed else None,
    )
