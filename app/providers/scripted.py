"""A provider that plays scripts from the configuration, so that clients can be tested against any answer.

The model's name is a script's name. Each call plays the whole script. A step has exactly one of these keys:

    text        a text delta; `{last}` stands for the last user message, `{count}` for the number of messages
    reasoning   a reasoning delta
    toolCall    {id?, name, arguments?: text or object}
    pauseMs     a pause in milliseconds
    hang        nothing more comes until the run is cancelled
    usage       {promptTokens?, completionTokens?}
    finish      the answer's finish reason; by default `stop`, or `tool_calls` after a tool call
    error       {status, message?, code?, retryAfter?}: fails like a provider that answers with that status
    cut         fails as if the connection broke

The keys are validated by `StepSchema` in app/config/schema/models.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from app.cancel import Cancel
from app.config.settings import ProviderSettings
from app.errors import GatewayError, InvalidRequest, UpstreamTruncated
from app.events.types import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from app.messages import Usage
from app.providers.base import ModelCall
from app.providers.http.status_errors import error_from_status

HANG_CHECK_SECONDS = 3600.0

Step = Mapping[str, Any]


class ScriptedProvider:
    """Plays `settings.scripts`."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.name = settings.name
        self._scripts = settings.scripts

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]:
        """The script named by the call's model. Raises InvalidRequest if there is none of that name."""
        script = self._scripts.get(call.model)
        if script is None:
            known = ", ".join(sorted(self._scripts)) or "none"
            raise InvalidRequest(
                f"Provider {self.name!r} has no script {call.model!r}. The scripts are: {known}.",
                param="model",
            )
        return _Playback(call, cancel).events(script)

    def close(self) -> None:
        """Nothing to close."""


class _Playback:
    """A script being played for one call."""

    def __init__(self, call: ModelCall, cancel: Cancel) -> None:
        self._call = call
        self._cancel = cancel
        self._tool_calls = 0
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None

    def events(self, script: tuple[Step, ...]) -> Iterator[ModelEvent]:
        for step in script:
            self._cancel.check()
            yield from self._play_step(step)
        yield ModelFinished(self._reason or ("tool_calls" if self._tool_calls else "stop"), self._usage)

    def _play_step(self, step: Step) -> Iterator[ModelEvent]:
        match step:
            case {"text": text}:
                yield TextDelta(self._fill_in(text))
            case {"reasoning": text}:
                yield ReasoningDelta(text)
            case {"toolCall": tool_call}:
                yield from self._call_tool(tool_call)
            case {"usage": usage}:
                self._usage = Usage(usage.get("promptTokens", 0), usage.get("completionTokens", 0))
            case {"finish": reason}:
                self._reason = reason
            case _:
                self._pause_or_fail(step)

    def _pause_or_fail(self, step: Step) -> None:
        match step:
            case {"pauseMs": milliseconds}:
                self._cancel.sleep(milliseconds / 1000)
            case {"hang": True}:
                while True:
                    self._cancel.sleep(HANG_CHECK_SECONDS)
            case {"error": failure}:
                raise _error(failure)
            case {"cut": True}:
                raise UpstreamTruncated("The provider's connection broke in the middle of its answer.")

    def _call_tool(self, tool_call: Step) -> Iterator[ModelEvent]:
        """As models stream a call: first the tool's name, then the arguments."""
        index = self._tool_calls
        self._tool_calls += 1
        arguments = tool_call.get("arguments", {})
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        # With the number of messages, the ids of one conversation differ although it plays the script again.
        call_id = tool_call.get("id") or f"call_{len(self._call.messages)}_{index}"
        yield ToolCallDelta(index, id=call_id, name=tool_call["name"])
        yield ToolCallDelta(index, arguments=arguments)

    def _fill_in(self, text: str) -> str:
        messages = self._call.messages
        last = next((message.text for message in reversed(messages) if message.role == "user"), "")
        # `{last}` is replaced second, so that a `{count}` in the user's message stays as it is.
        return text.replace("{count}", str(len(messages))).replace("{last}", last)


def _error(failure: Step) -> GatewayError:
    body = orjson.dumps({"error": {"message": failure.get("message", ""), "code": failure.get("code")}})
    return error_from_status(failure["status"], body, failure.get("retryAfter"), None)
