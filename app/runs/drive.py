"""Drives one run from its place in the queue to its last event: lane → history → loop → save.

It runs on the run's own greenlet. Whatever happens, there is exactly one last event, the lane is left, and a
stored session has the run's messages with the right mark on them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from operator import attrgetter

import msgspec

from app.agents.conversation import put_in_order
from app.agents.loop import keep_nothing, run_agent
from app.agents.resumption import restore
from app.errors import GatewayError, InternalError, StorageUnavailable
from app.events.types import (
    ModelFinished,
    RefusalDelta,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCallDelta,
)
from app.logs.lines import log_event, request_id
from app.messages import Message
from app.runs.own_run import OwnRun
from app.runs.request import RunRequest
from app.runs.run import Run
from app.runs.tasks import BuildTask
from app.sessions.agent_lanes import AgentLanes, AgentPlace
from app.sessions.history import reconcile
from app.sessions.lanes import Place
from app.sessions.stored import StoredMessage

logger = logging.getLogger("app.runs")

_message, _state = attrgetter("message"), attrgetter("state")


class RunSlots(msgspec.Struct, frozen=True):
    """Where a run waits and where its messages are kept. A stateless run has no session for either.

    `place` is its place in the session's lane; `agents` are the lanes of agents with a limit of their own.
    """

    place: Place | None
    store: OwnRun | None
    agents: AgentLanes


def drive(run: Run, slots: RunSlots, build_task: BuildTask) -> RunFinished | RunFailed:
    """Brings `run` to its end; the last event, for the caller to publish. Raises nothing of the run's own."""
    request_id.set(run.request.request_id)
    agent_ticket: AgentPlace | None = None
    end: RunFinished | RunFailed
    try:
        agent_ticket = _wait_in_lanes(run, slots)
        if slots.store is not None:
            slots.store.begin()
        run.dequeued_at = time.monotonic()
        end = _answer(run, slots.store, build_task)
    except GatewayError as error:
        end = _failed(run, slots.store, error)
        _forget_frames(error)
    except Exception:
        logger.exception("run failed on a fault of the gateway")
        end = _failed(run, slots.store, InternalError("The gateway failed on this request."))
    finally:
        for ticket in (agent_ticket, slots.place):
            if ticket is not None:
                ticket.leave()
    return end


def _forget_frames(error: GatewayError) -> None:
    """Drop the frames that the error passed through, which hold the run and its answer.

    The run, or one of those frames, may hold the error. In such a cycle an answer of many megabytes would
    stay until the garbage collector comes, which does not count bytes.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None


def _wait_in_lanes(run: Run, slots: RunSlots) -> AgentPlace | None:
    """Waits for the session's earlier runs, then for one of the agent's slots, if those are limited."""
    if slots.place is not None:
        slots.place.wait(run.cancel)
    limit = run.agent.max_concurrent
    if not limit or run.request.spawn_depth:  # who has asked for it may be waiting, and hold the last slot
        return None
    ticket = slots.agents.join(run.agent.id, limit)
    ticket.wait(run.cancel)  # which leaves the lane if it raises
    return ticket


def _answer(run: Run, store: OwnRun | None, build_task: BuildTask) -> RunFinished:
    messages = put_in_order(run.request.messages).messages if store is None else _with_history(run, store)
    save = keep_nothing if store is None else partial(store.append, run.answer)
    task = build_task(run, messages)
    if run.earlier.steps:
        earlier, is_own = run.earlier, None if task.tools is None else task.tools.is_own
        restore(run.answer, earlier.steps, earlier.usage, earlier.model, is_own)
    unseen = store if store is not None and store.ends_when_shown else None
    for event in run_agent(task, run.answer, run.cancel, save):
        if isinstance(event, RunFinished):
            if store is not None:
                _save_finished(run, store, event)
            return event
        if isinstance(event, ModelFinished):
            run.model = event.model
        if run.first_output_at is None:
            run.first_output_at = time.monotonic()
        run.log.append(event)
        if unseen is not None and isinstance(event, TextDelta | RefusalDelta | ToolCallDelta):
            unseen.show()
            unseen = None
    raise AssertionError("an agent ended without its last event")


def _with_history(run: Run, store: OwnRun) -> Sequence[Message]:
    """The stored conversation and what is new of the request, in order, with the store brought into line."""
    stored = store.history()
    if run.earlier.steps:  # the store was brought into line by the attempt that was cut
        return put_in_order((*(one.for_model for one in stored), *run.earlier.input)).messages
    reconciled = reconcile(stored, run.request.messages)
    if reconciled.replaced or reconciled.new != tuple(run.earlier.input or input_of(run.request)):
        store.reconcile(reconciled.replaced, reconciled.new)
    kept = stored[: len(reconciled.kept)]  # what is replaced is always the end of it
    messages = [*map(_message, kept)]
    if "partial" in map(_state, kept):
        messages = [one.for_model for one in kept]
    ordered = put_in_order((*messages, *reconciled.new))
    if ordered.unpaired:
        _mark_unpaired(run, store, kept, ordered.unpaired)
    return ordered.messages


def _mark_unpaired(run: Run, store: OwnRun, kept: Sequence[StoredMessage], unpaired: Sequence[int]) -> None:
    """Mark the messages at these places, of the `kept` ones with the run's own behind them; once each."""
    stored = [kept[place].id for place in unpaired if place < len(kept) and kept[place].state == "complete"]
    own = [place - len(kept) for place in unpaired if place >= len(kept)]
    if stored or own:
        store.mark_unpaired(stored, own)
        log_event(
            logger,
            logging.WARNING,
            "tool calls without results, or results without calls, are left out of the conversation",
            run_id=run.id,
            messages=len(stored) + len(own),
        )


def input_of(request: RunRequest) -> Sequence[Message]:
    """The messages of the request that are stored with it at once: those that it adds for certain. A
    conversation of its own, in which nothing can be stored yet, is stored whole.
    """
    return request.messages if request.route.stateless else new_messages(request.messages)


def new_messages(messages: Sequence[Message]) -> Sequence[Message]:
    """What the request adds for certain: all messages after the last one of the assistant."""
    for position in range(len(messages) - 2, -1, -1):
        if messages[position].role == "assistant":
            return messages[position + 1 :]
    return messages


def _save_finished(run: Run, store: OwnRun, end: RunFinished) -> None:
    answer = run.answer
    store.finish(
        "finished",
        answer.entries[answer.saved :],
        finish_reason=end.reason,
        model=answer.model,
        usage=end.usage,
    )


def _failed(run: Run, store: OwnRun | None, error: GatewayError) -> RunFailed:
    aborted = run.cancel.error is error
    if store is not None:
        _save_failed(run, store, error, aborted)
    return RunFailed.of(error, aborted=aborted)


def _save_failed(run: Run, store: OwnRun, error: GatewayError, aborted: bool) -> None:
    answer = run.answer
    partial = () if answer.is_empty else answer.failed_entries[answer.saved :]
    try:
        store.fail(
            "aborted" if aborted else "failed",
            partial,
            error_code=error.code,
            error_message=error.message,
            model=answer.model,
            usage=answer.usage if answer.usage.total_tokens else None,  # of the turns before the failure
            # The client has waited for the database already; what is not stored is interrupted by the upkeep.
            patient=not isinstance(error, StorageUnavailable),
        )
    except GatewayError as trouble:
        # The run has failed already and says so; that this could not be stored is for the operator.
        log_event(
            logger,
            logging.ERROR,
            "the end of a failed run could not be stored",
            run_id=run.id,
            error=trouble.message,
        )
