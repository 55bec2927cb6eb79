"""`chat.*`: a conversation as people see it (docs/websocket.md#runs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.auth.grants import require_method
from app.clock import now_ms
from app.control.commands import find_command, is_stop_word
from app.errors import InvalidRequest
from app.messages import Content, Message
from app.routing.operator import resolve_operator_route
from app.runs.intake import RunInput
from app.runs.request import RunRequest
from app.sessions.bound_keys import KeyInUse
from app.sessions.keys import shown_run_id
from app.ws.call import LATER, Call, Handler
from app.ws.feed import Feed
from app.ws.methods.attachments import user_content
from app.ws.methods.history import dump_history, load_page

ABORT_SECONDS = 2.0
DEFAULT_HISTORY, MAX_HISTORY = 200, 1000


class ChatMethods:
    """`feed` says when a run's events have been sent: only then `chat.abort` is answered."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def table(self) -> dict[str, Handler]:
        return {
            "chat.send": self.send,
            "chat.abort": self.abort,
            "chat.history": history,
            "chat.startup": startup,
            "chat.inject": inject,
        }

    def send(self, call: Call) -> Any:
        """Starts a run or executes a command; either ends with a `chat` event.

        The idempotency key is the run's id. A known key starts nothing: `in_flight` or `ok`; but a run that
        was cut is run again (docs/websocket.md#repeating-a-request).
        """
        params = call.params
        key = session_key(call)
        message, run_id = params.optional_text("message") or "", params.run_id()
        content = user_content(message, call)
        if not message.strip() and content == message:
            raise params.wrong("at /message", "message or attachment required")
        call.peer.watch_session(key, params.text("sessionKey"))
        command = find_command(message)
        if is_stop_word(message) or (command is not None and command[0] == "stop"):
            require_method(call.peer.principal, "chat.abort")
            return self._stop_all(call, key)
        if command is not None:
            return _command(call, key, run_id, *command)
        return {"runId": run_id, "status": _start(call, _load_request(call, key, content, run_id))}

    def abort(self, call: Call) -> Any:
        """Aborts a session's runs, or one of them, whoever started it; the event comes first."""
        key, run_id = session_key(call), call.params.optional_text("runId")
        if run_id is None:
            return self._stop_all(call, key)
        runs = call.gateway.all_runs
        wanted = [one for one in runs.in_session(key) if shown_run_id(one, key) == run_id]
        if not wanted and runs.goes_on(run_id, call.owner):
            raise InvalidRequest("runId does not match sessionKey")
        return self._stop(call, key, wanted)

    def _stop_all(self, call: Call, key: str) -> dict[str, Any]:
        return self._stop(call, key, call.gateway.all_runs.in_session(key))

    def _stop(self, call: Call, key: str, run_ids: Sequence[str]) -> dict[str, Any]:
        stopped = call.gateway.all_runs.stop(run_ids, "The run was stopped.")
        self._feed.wait_sent(stopped, ABORT_SECONDS)
        shown = [shown_run_id(one, key) for one in stopped]
        return {"ok": True, "aborted": bool(stopped), "runIds": shown}


def session_key(call: Call) -> str:
    """The canonical key that the caller means; its agent must exist."""
    params = call.params
    return resolve_operator_route(
        params.text("sessionKey"), params.optional_text("agentId"), call.gateway.settings, call.owner
    ).session_key


def _load_request(call: Call, key: str, content: Content, run_id: str) -> RunRequest:
    return call.gateway.intake.load(
        RunInput(
            source="ws",
            key_rules="operator",
            principal=call.peer.principal,
            messages=(Message("user", content),),
            session_key=key,
            thinking=call.params.optional_text("thinking"),
            run_id=run_id,
            timeout_seconds=call.params.integer("timeoutMs", 0) / 1000 or None,
            starter=call.peer.id,
        )
    )


def _start(call: Call, request: RunRequest) -> str:
    """Start the run, unless it goes on or has an answer: what is so now."""
    known = call.gateway.repeats.known(request)
    if known is not None:
        return "in_flight" if known == "in_flight" else "ok"
    try:
        call.gateway.runs.start(request)
    except KeyInUse:  # the same request, at the same moment
        return "in_flight"
    return "started"


def _command(call: Call, key: str, run_id: str, name: str, rest: str) -> Any:
    """A command's answer is one final, and no run."""
    text = call.gateway.commands.run(name, rest, key, call.peer.principal)
    content = [{"type": "text", "text": text}]
    message = {"role": "assistant", "content": content, "timestamp": now_ms()}
    payload = {"runId": run_id, "sessionKey": key, "seq": 0, "state": "final", "message": message}
    call.reply({"runId": run_id, "status": "started"})
    for peer in call.audience(key):
        if key in peer.watched:  # as is the caller's own connection
            peer.send_event("chat", payload)
    return LATER


def history(call: Call) -> Any:
    key = session_key(call)
    call.peer.watch_session(key)
    limit = call.params.integer("limit", DEFAULT_HISTORY, 1, MAX_HISTORY)
    return dump_history(call.gateway, key, load_page(call.params, limit))


def startup(call: Call) -> Any:
    """The newest Control UI's first question about a session."""
    return {**history(call), "metadata": {}}


def inject(call: Call) -> Any:
    """Puts a message of the assistant's into a session; no model is asked."""
    key, text = session_key(call), call.params.text("message")
    label = call.params.optional_text("label")
    message_id = call.gateway.store.transcripts.inject(key, text, label)
    text = f"[{label}]\n\n{text}" if label else text
    content = [{"type": "text", "text": text}]
    message = {"role": "assistant", "content": content, "timestamp": now_ms()}
    run_id = f"inject-{message_id}"
    payload = {"runId": run_id, "sessionKey": key, "seq": 0, "state": "final", "message": message}
    for peer in call.audience(key):
        peer.send_event("chat", payload)
    return {"ok": True, "messageId": str(message_id)}
