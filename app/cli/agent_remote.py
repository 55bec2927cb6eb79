"""`agent` without `--local`: the run in a gateway, followed from here."""

from __future__ import annotations

import argparse
import math
import time
import uuid
from contextlib import suppress
from typing import Any

from app.cli.answer import AnswerPrinter
from app.cli.client import GatewayClient, is_accepted, is_response, payload_of
from app.cli.errors import ClientError, RunOverdue
from app.cli.exit_codes import EXIT_INTERRUPTED, EXIT_OK
from app.cli.spinner import Spinner

GRACE_SECONDS = 30.0  # over the run's own time: it may have waited for its turn
ABORT_SECONDS = 5.0


class RemoteRun:
    """One run that this command has started. `accepted` is the gateway's first answer, once it is there."""

    def __init__(self, client: GatewayClient, args: argparse.Namespace, text: str) -> None:
        self.id = str(uuid.uuid4())
        self.accepted: dict[str, Any] = {}
        self.finish_reason = "stop"
        self._client = client
        self._request = client.send("agent", self._params(args, text))

    def follow(self, printer: AnswerPrinter, deadline: float | None) -> dict[str, Any]:
        """Shows the pieces; the last answer. Raises Refused, RunOverdue and ConnectionLost."""
        while True:
            frame = self._client.receive(deadline)
            if frame is None:
                raise RunOverdue("The run did not end in time and was stopped.")
            if is_response(frame, self._request):
                payload: dict[str, Any] = payload_of(frame)
                if not is_accepted(frame):
                    return payload
                self.accepted = payload
            elif frame.get("type") == "event":
                self._take(frame, printer)

    def abort_quietly(self) -> None:
        """Stops the run, whether or not it has been accepted yet."""
        with suppress(ClientError):
            self._abort()

    def _abort(self) -> None:
        deadline = time.monotonic() + ABORT_SECONDS
        while not self.accepted and (frame := self._client.receive(deadline)) is not None:
            if is_response(frame, self._request):
                self.accepted = payload_of(frame)
        params = {"sessionKey": self.accepted.get("sessionKey", "main"), "runId": self.id}
        self._client.call("chat.abort", params, ABORT_SECONDS)

    def _take(self, frame: dict[str, Any], printer: AnswerPrinter) -> None:
        payload = frame.get("payload") or {}
        if payload.get("runId") != self.id:
            return
        if frame.get("event") == "agent" and payload.get("stream") == "assistant":
            said = str((payload.get("data") or {}).get("text", ""))
            if new := said[len(printer.text) :]:
                printer.piece(new)
        elif frame.get("event") == "chat" and payload.get("state") == "final":
            self.finish_reason = payload.get("stopReason") or self.finish_reason

    def _params(self, args: argparse.Namespace, text: str) -> dict[str, Any]:
        given = {
            "message": text,
            "agentId": args.agent,
            "sessionKey": args.session_key,
            "timeout": args.timeout and math.ceil(args.timeout),
            "idempotencyKey": self.id,
        }
        return {name: value for name, value in given.items() if value is not None}


def answer_by_gateway(args: argparse.Namespace, client: GatewayClient, text: str) -> int:
    """Raises ClientError."""
    run = RemoteRun(client, args, text)
    deadline = args.timeout and time.monotonic() + args.timeout + GRACE_SECONDS
    try:
        with Spinner("waiting for the answer") as spinner:
            printer = AnswerPrinter(args, spinner)
            try:
                final = run.follow(printer, deadline)
            except ClientError as error:
                printer.failed()
                if isinstance(error, RunOverdue):
                    run.abort_quietly()
                raise
            _print_end(run, printer, final)
    except KeyboardInterrupt:
        run.abort_quietly()
        return EXIT_INTERRUPTED
    return EXIT_OK


def _print_end(run: RemoteRun, printer: AnswerPrinter, final: dict[str, Any]) -> None:
    result = final.get("result") or {}
    text = "".join(str(one.get("text") or "") for one in result.get("payloads") or [])
    if text.startswith(printer.text) and (missed := text[len(printer.text) :]):
        printer.piece(missed)
    usage = ((result.get("meta") or {}).get("agentMeta") or {}).get("usage") or {}
    session_key = run.accepted.get("sessionKey")
    printer.end(
        {
            "runId": run.id,
            "agent": run.accepted.get("agentId"),
            "sessionKey": session_key,
            "text": text,
            "finishReason": run.finish_reason,
            "usage": {
                "promptTokens": usage.get("input", 0),
                "completionTokens": usage.get("output", 0),
                "totalTokens": usage.get("total", 0),
            },
        }
    )
