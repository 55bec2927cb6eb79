"""`agent` without `--local`: the run in a gateway, followed from here."""

from __future__ import annotations

import argparse
import math
import time
from collections import deque
from contextlib import suppress
from typing import Any

from app.cli.answer import AnswerPrinter
from app.cli.approver import ask, is_interactive
from app.cli.asker import ask_questions
from app.cli.errors import RunOverdue
from app.cli.exit_codes import EXIT_INTERRUPTED, EXIT_OK
from app.cli.remote import over_gateway
from app.cli.spinner import Spinner
from app.client.client import GatewayClient
from app.client.errors import ClientError
from app.client.frames import Frame, is_accepted, is_response, payload_of
from app.ids import new_uuid

GRACE_SECONDS = 30.0  # beyond the run's own time: it may have waited in its session's queue
ABORT_SECONDS = 5.0
COLLECT_SECONDS = 0.01  # what has arrived while somebody is asked
RESOLVE = "approval.resolve"
REQUESTED = ".approval.requested"  # behind `exec` or `plugin`
RESOLVE_QUESTION, QUESTION = "question.resolve", "question.requested"
RESOLVED = (".approval.resolved", "question.resolved")


def run(args: argparse.Namespace, text: str) -> int:
    """Starts a run and prints its answer; an exit code. Raises ConfigError."""

    def answer(args: argparse.Namespace, client: GatewayClient) -> int:
        return _answer(args, client, text)

    methods = ["agent", "chat.abort", *([RESOLVE, RESOLVE_QUESTION] if is_interactive() else [])]
    return over_gateway(answer, *methods)(args)


class RemoteRun:
    """One run that this command starts. `accepted` is the gateway's first answer, once there is one."""

    def __init__(self, client: GatewayClient) -> None:
        self.id = new_uuid()
        self.accepted: dict[str, Any] = {}
        self.finish_reason = "stop"
        self._client = client
        self._unread: deque[Frame] = deque()  # what arrived while somebody was asked
        self._request_id = ""  # until it is sent

    def start(self, args: argparse.Namespace, text: str) -> None:
        """Raises ConnectionLost."""
        self._request_id = new_uuid()  # before it is sent: it may be stopped at any moment
        self._client.request("agent", self._params(args, text), self._request_id)

    def follow(self, printer: AnswerPrinter, deadline: float | None) -> dict[str, Any]:
        """Prints the pieces; the last answer. Raises RequestRefused, RunOverdue and ConnectionLost."""
        while True:
            frame = self._unread.popleft() if self._unread else self._client.receive(deadline)
            if frame is None:
                raise RunOverdue("The run did not end in time and was stopped.")
            if is_response(frame, self._request_id):
                payload: dict[str, Any] = payload_of(frame)
                if not is_accepted(frame):
                    return payload
                self.accepted = payload
            elif frame.get("type") == "event":
                if str(frame.get("event")).endswith(REQUESTED):
                    self._ask(frame.get("payload") or {}, printer)
                elif frame.get("event") == QUESTION:
                    self._answer(frame.get("payload") or {}, printer)
                else:
                    self._show_event(frame, printer)

    def _ask(self, approval: dict[str, Any], printer: AnswerPrinter) -> None:
        """Asks at the terminal about what the run wants to do; what arrives meanwhile is kept."""
        request, approval_id = approval.get("request") or {}, approval.get("id")
        if request.get("runId") != self.id or not is_interactive():
            return

        printer.pause()
        if (decision := ask(request, lambda: self._is_over(approval_id))) is not None:
            self._client.request(RESOLVE, {"id": approval_id, "decision": decision})

    def _answer(self, asked: dict[str, Any], printer: AnswerPrinter) -> None:
        """Asks at the terminal what the run's agent wants to know; what arrives meanwhile is kept."""
        if asked.get("runId") != self.id or not is_interactive():
            return
        printer.pause()
        answers = ask_questions(asked, lambda: self._is_over(asked.get("id")))
        if answers is not None:
            given = {"answers": {"answers": answers}} if answers else {"cancel": True}
            self._client.request(RESOLVE_QUESTION, {"id": asked.get("id"), **given})

    def _is_over(self, asked_id: object) -> bool:
        self._unread.extend(self._client.collect(COLLECT_SECONDS))
        return any(
            str(one.get("event")).endswith(RESOLVED) and one["payload"].get("id") == asked_id
            for one in self._unread
        )

    def abort_quietly(self) -> None:
        """Stops the run, whether or not it has been accepted yet."""
        if self._request_id:
            with suppress(ClientError):
                self._abort()

    def _abort(self) -> None:
        if not self.accepted:
            response = self._client.response(self._request_id, time.monotonic() + ABORT_SECONDS)
            self.accepted = payload_of(response) if response else {}
        params = {"sessionKey": self.accepted.get("sessionKey", "main"), "runId": self.id}
        self._client.call("chat.abort", params, ABORT_SECONDS)

    def _show_event(self, frame: Frame, printer: AnswerPrinter) -> None:
        """An event carries all text so far; only what is new is printed."""
        payload = frame.get("payload") or {}
        if payload.get("runId") != self.id:
            return
        stream, data = payload.get("stream"), payload.get("data") or {}
        if frame.get("event") == "agent" and stream == "assistant":
            text = str(data.get("text", ""))
            if new := text[len(printer.text) :]:
                printer.print_piece(new)
        elif stream == "item" and data.get("kind") == "tool" and data.get("phase") == "end":
            seconds = max(0, _number(data.get("endedAt")) - _number(data.get("startedAt"))) / 1000
            failed, meta = data.get("status") == "failed", data.get("meta")
            printer.print_tool(str(data.get("name")), meta and str(meta), seconds, failed=failed)
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


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else 0


def _answer(args: argparse.Namespace, client: GatewayClient, text: str) -> int:
    """Raises ClientError and RunOverdue."""
    remote = RemoteRun(client)
    deadline = args.timeout and time.monotonic() + args.timeout + GRACE_SECONDS
    try:
        remote.start(args, text)
        with Spinner("waiting for the answer") as spinner:
            printer = AnswerPrinter(args, spinner)
            try:
                final = remote.follow(printer, deadline)
            except RunOverdue:
                printer.fail()
                remote.abort_quietly()
                raise
            except ClientError:
                printer.fail()
                raise
            _finish(remote, printer, final)
    except KeyboardInterrupt:
        remote.abort_quietly()
        return EXIT_INTERRUPTED
    return EXIT_OK


def _finish(remote: RemoteRun, printer: AnswerPrinter, final: dict[str, Any]) -> None:
    result = final.get("result") or {}
    text = "".join(str(one.get("text") or "") for one in result.get("payloads") or [])
    if text.startswith(printer.text) and (rest := text[len(printer.text) :]):
        printer.print_piece(rest)
    usage = ((result.get("meta") or {}).get("agentMeta") or {}).get("usage") or {}
    printer.finish(
        {
            "runId": remote.id,
            "agent": remote.accepted.get("agentId"),
            "sessionKey": remote.accepted.get("sessionKey"),
            "text": text,
            "finishReason": remote.finish_reason,
            "usage": {
                "promptTokens": usage.get("input", 0),
                "completionTokens": usage.get("output", 0),
                "totalTokens": usage.get("total", 0),
            },
        }
    )
