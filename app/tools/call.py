"""One call of a tool: arguments, time limit, size of the result, errors as text the model can act on."""

from __future__ import annotations

import logging
import threading
import time
from typing import Literal

import orjson
from msgspec.structs import replace

from app.cancel import Cancel
from app.concurrency.background import call_later, spawn
from app.errors import GatewayError, ToolTimeout
from app.events.types import ToolCalled
from app.logs.lines import log_event, request_id
from app.messages import ToolCall
from app.tools.base import Invocation, RunContext, Tool, ToolBlocked, ToolError, ToolOutput
from app.tools.display import returned, valid, valid_json
from app.tools.parameters import InvalidArguments, parse_arguments
from app.tools.updates import Updates

logger = logging.getLogger("app.tools")

GRACE_SECONDS = 0.8  # that a tool may take to end after it is cancelled; then nobody waits for it any more
MAX_SHOWN_ARGUMENTS = 500  # characters of faulty arguments that are shown to the model


FailureReason = Literal["tool_error", "invalid_arguments", "blocked", "fault"]


class StartedCall:
    """A call that is being worked on, on a greenlet of its own."""

    def __init__(self, tool: Tool, call: ToolCall, run: RunContext) -> None:
        self._tool, self._call, self._run = tool, call, run
        self._cancel = Cancel()
        self._done = threading.Event()
        self._returned = False
        self._output = ToolOutput("Aborted before it had a result.", is_error=True)
        self._started_at = time.monotonic()
        self._updates = Updates(call, run.publish)
        run.publish(ToolCalled(call))
        spawn(self._work)

    def wait(self) -> ToolOutput:
        """The result, once it is there. Raises the run's error soon after the run is cancelled."""
        limit = self._tool.seconds
        try:
            with self._run.cancel.waking(self._stop):
                left = None if limit is None else self._started_at + limit - time.monotonic()
                if not self._done.wait(left):
                    self._cancel.cancel(ToolTimeout(f"The tool did not end within {limit:g} seconds."))
                    self._done.wait(GRACE_SECONDS)
        finally:
            self._end()
        return self._output

    def _stop(self) -> None:
        """The run is cancelled: so is the call, and soon nobody waits for it."""
        error = self._run.cancel.error
        assert error is not None
        self._cancel.cancel(error)
        call_later(GRACE_SECONDS, self._done.set)

    def _end(self) -> None:
        """Nobody waits any more. A call that has not ended by now is left to itself."""
        output, error = self._output, self._cancel.error
        if not self._done.is_set() and error is not None:
            output = failed(self._tool.name, error.message)
        self._return(output)

    def _work(self) -> None:
        request_id.set(self._run.request_id)
        try:
            self._return(run_tool(self._tool, self._call, self._run, self._cancel, self._updates))
        finally:
            self._done.set()

    def _return(self, output: ToolOutput) -> None:
        """The first result counts."""
        if self._returned:
            return
        self._returned = True
        self._output = output
        self._updates.end()
        seconds = time.monotonic() - self._started_at
        self._run.publish(returned(self._call, output, seconds))


def run_tool(tool: Tool, call: ToolCall, run: RunContext, cancel: Cancel, update: object) -> ToolOutput:
    """The result of the call, at most `tool.max_chars` of it; a failure is a result with `is_error`."""
    try:
        arguments = parse_arguments(call.arguments)
        output = tool.run(Invocation(run, call.id, cancel, update), arguments)  # type: ignore[arg-type]
        output = capped(output, tool.max_chars)
        output = replace(output, details=valid_json(output.details))
    except InvalidArguments as error:
        shown = call.arguments[:MAX_SHOWN_ARGUMENTS]
        message = f'Validation failed for tool "{tool.name}": {error}. Received: {shown}'
        return failed(tool.name, message, "invalid_arguments")
    except ToolBlocked as error:
        log_event(
            logger,
            logging.WARNING,
            "tool call refused",
            tool=tool.name,
            agent=run.agent_id,
            run_id=run.run_id,
            why=str(error)[:300],
        )
        return failed(tool.name, str(error), "blocked")
    except ToolError as error:
        return failed(tool.name, str(error))
    except GatewayError as error:
        return failed(tool.name, error.message)
    except Exception:
        logger.exception("tool %s failed on a fault of the gateway", tool.name)
        return failed(tool.name, "The tool failed on a fault of the gateway, which is in its log.", "fault")
    return output


def failed(name: str, message: str, reason: FailureReason = "tool_error") -> ToolOutput:
    """A result that tells the model what went wrong; `details` have the message and the reason."""
    message = valid(message)
    error = {"status": "error", "tool": name, "error": message}
    details = {"status": "error", "error": message, "reason": reason}
    return ToolOutput(orjson.dumps(error).decode(), details, is_error=True)


def not_found(call: ToolCall, run: RunContext) -> ToolOutput:
    """The result of a call of a tool that does not exist, or that the run may not use."""
    log_event(logger, logging.WARNING, "tool not available", tool=call.name[:80], run_id=run.run_id)
    return ToolOutput(f"Tool {call.name[:200]} not found", is_error=True)


def capped(output: ToolOutput, max_chars: int) -> ToolOutput:
    """The result with at most `max_chars` characters of text."""
    text = output.text
    if len(text) <= max_chars:
        fit = valid(text)
        return output if fit is text else replace(output, text=fit)
    left_out = len(text) - max_chars
    note = f"\n\n[{left_out} more characters were left out. Ask for less, or for the rest in parts.]"
    return ToolOutput(valid(text[:max_chars]) + note, output.details, output.images, output.is_error)
