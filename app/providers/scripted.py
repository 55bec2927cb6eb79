"""The provider that plays scripts from the settings, so that a client can be tested against any answer.

A model's name is a script's name. Each call plays the whole script; a step has exactly one of these keys:

    text        a delta; `{last}` is the last user message's text, `{count}` the number of messages
    reasoning   a delta of the model's thinking
    toolCall    {id?, name, arguments?: text or object}
    pauseMs     silence
    hang        silence until the run is stopped
    usage       {promptTokens?, completionTokens?}
    finish      the reason the answer ends with; without it `stop`, or `tool_calls` after a tool call
    error       {status, message?, code?, retryAfter?}: fails as a provider that answers so
    cut         the connection breaks
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
    def __init__(self, settings: ProviderSettings) -> None:
        self.name = settings.name
        self._scripts = settings.scripts

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]:
        script = self._scripts.get(call.model)
        if script is None:
            there_are = ", ".join(sorted(self._scripts)) or "none"
            raise InvalidRequest(
                f"Provider {self.name!r} has no script {call.model!r}. The scripts are: {there_are}.",
                param="model",
            )
        return _Play(call, cancel).events(script)

    def close(self) -> None:
        pass


class _Play:
    """One performance of a script."""

    def __init__(self, call: ModelCall, cancel: Cancel) -> None:
        self._call = call
        self._cancel = cancel
        self._tool_calls = 0
        self._reason: FinishReason | None = None
        self._usage: Usage | None = None

    def events(self, script: tuple[Step, ...]) -> Iterator[ModelEvent]:
        for step in script:
            self._cancel.check()
            yield from self._play(step)
        yield ModelFinished(self._reason or ("tool_calls" if self._tool_calls else "stop"), self._usage)

    def _play(self, step: Step) -> Iterator[ModelEvent]:
        match step:
            case {"text": text}:
                yield TextDelta(self._filled(text))
            case {"reasoning": text}:
                yield ReasoningDelta(text)
            case {"toolCall": wanted}:
                yield from self._tool_call(wanted)
            case {"usage": usage}:
                self._usage = Usage(usage.get("promptTokens", 0), usage.get("completionTokens", 0))
            case {"finish": reason}:
                self._reason = reason
            case _:
                self._misbehave(step)

    def _misbehave(self, step: Step) -> None:
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

    def _tool_call(self, wanted: Step) -> Iterator[ModelEvent]:
        """As models stream it: who is called first, the arguments after."""
        index = self._tool_calls
        self._tool_calls += 1
        arguments = wanted.get("arguments", {})
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        # The count keeps the ids of one conversation apart, however often it calls the script.
        call_id = wanted.get("id") or f"call_{len(self._call.messages)}_{index}"
        yield ToolCallDelta(index, id=call_id, name=wanted["name"])
        yield ToolCallDelta(index, arguments=arguments)

    def _filled(self, text: str) -> str:
        messages = self._call.messages
        last = next((message.text for message in reversed(messages) if message.role == "user"), "")
        # `{last}` comes second, for what the user wrote is not a template.
        return text.replace("{count}", str(len(messages))).replace("{last}", last)


def _error(failure: Step) -> GatewayError:
    body = orjson.dumps({"error": {"message": failure.get("message", ""), "code": failure.get("code")}})
    wait = failure.get("retryAfter")
    return error_from_status(failure["status"], body, None if wait is None else str(wait), None)
