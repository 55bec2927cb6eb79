"""Drives one run from its place in the queue to its last event: lane → history → loop → save → publish.

It runs on the run's own greenlet. Whatever happens, the log gets exactly one last event, the lane is left,
and a stored session has the turn with the right mark on it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import msgspec

from app.agents.loop import Answer, run_agent
from app.errors import GatewayError, InternalError
from app.events.types import ModelFinished, RunFailed, RunFinished
from app.logs import lines as logs
from app.messages import Message
from app.runs.log_lines import log_end
from app.runs.run import Run
from app.runs.tasks import BuildTask
from app.sessions.base import RunStore
from app.sessions.history import MessageState, reconcile
from app.sessions.lanes import Lanes, Ticket

logger = logging.getLogger("app.runs")


class RunSlots(msgspec.Struct, frozen=True):
    """Where a run waits and where its words are kept; a stateless one has no session to do either for."""

    ticket: Ticket | None
    store: RunStore | None
    slots: Lanes


def drive(run: Run, place: RunSlots, build_task: BuildTask) -> None:
    """Brings `run` to its end. Raises nothing that belongs to the run."""
    logs.request_id.set(run.request.request_id)
    answer = Answer()
    slot: Ticket | None = None
    end: RunFinished | RunFailed
    try:
        slot = _wait_for_turn(run, place)
        run.dequeued_at = time.monotonic()
        end = _answer(run, place.store, build_task, answer)
    except GatewayError as error:
        end = _failed(run, place.store, answer, error)
    except Exception:
        logger.exception("run failed on a fault of the gateway")
        end = _failed(run, place.store, answer, InternalError("The gateway failed on this request."))
    finally:
        for ticket in (slot, place.ticket):
            if ticket is not None:
                ticket.leave()
    run.ended_at = time.monotonic()
    run.log.append(end)
    log_end(run)


def _wait_for_turn(run: Run, place: RunSlots) -> Ticket | None:
    """Waits for the session's earlier runs, then for one of the agent's slots, if those are counted."""
    if place.ticket is not None:
        place.ticket.wait(run.cancel)
    most = run.agent.max_concurrent
    if not most:
        return None
    slot = place.slots.join(run.agent.id, most)
    slot.wait(run.cancel)  # which leaves if it raises
    return slot


def _answer(run: Run, store: RunStore | None, build_task: BuildTask, answer: Answer) -> RunFinished:
    messages = run.request.messages if store is None else _with_history(run, store)
    for event in run_agent(build_task(run, messages), answer, run.cancel):
        if isinstance(event, RunFinished):
            if store is not None:
                _save_finished(run, store, answer, event)
            return event
        if isinstance(event, ModelFinished):
            run.model = event.model
        if run.first_output_at is None:
            run.first_output_at = time.monotonic()
        run.log.append(event)
    raise AssertionError("an agent ended without its last event")


def _with_history(run: Run, store: RunStore) -> Sequence[Message]:
    """The stored turns and what is new of the request, with the store brought into line."""
    stored = store.history(run.session_key, run.id)
    told = reconcile(stored, run.request.messages)
    if told.replaced or told.new != tuple(new_messages(run.request.messages)):
        store.reconcile(run.id, told.replaced, told.new)
    kept = set(told.kept)
    return (*(one.message for one in stored if one.id in kept), *told.new)


def new_messages(messages: Sequence[Message]) -> Sequence[Message]:
    """What the request adds for certain: all behind the last thing the assistant said."""
    for position in range(len(messages) - 2, -1, -1):
        if messages[position].role == "assistant":
            return messages[position + 1 :]
    return messages


def _save_finished(run: Run, store: RunStore, answer: Answer, end: RunFinished) -> None:
    store.finish(
        run.id,
        "finished",
        [(answer.as_message(), "complete")],
        finish_reason=end.reason,
        model=answer.model,
        usage=end.usage,
    )


def _failed(run: Run, store: RunStore | None, answer: Answer, error: GatewayError) -> RunFailed:
    aborted = run.cancel.error is error
    if store is not None:
        _save_failed(run, store, answer, error, aborted)
    return RunFailed(error, aborted=aborted)


def _save_failed(run: Run, store: RunStore, answer: Answer, error: GatewayError, aborted: bool) -> None:
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
