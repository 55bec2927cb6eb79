"""The messages of MCP: JSON-RPC 2.0 (https://modelcontextprotocol.io/specification). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app import VERSION
from app.errors import UpstreamError
from app.providers.http.lenient_json import load_json, without_surrogates

# The revisions we speak, the newest first: that is the one we ask for, and a server may answer with another.
REVISIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")

MAX_MESSAGE_BYTES = 12 * 1024 * 1024  # an image of 8 MiB in base64 fits
MAX_VALUES = 100_000  # of one message; each takes as much memory as a long word
MAX_LENIENT_BYTES = 1024 * 1024  # of one that is not quite JSON
MAX_ERROR_CHARS = 2000  # of a server's error message

METHOD_NOT_FOUND = -32601
_SEPARATORS = (b",", b"[", b"{")  # one of them comes before nearly every value

Message = dict[str, Any]


class McpError(Exception):
    """What went wrong with a server, in a sentence that contains no secret."""


class ServerUnavailable(McpError):
    """The server is not there: not started, ended, not reached, or paused after failures.

    `said` is what it has said last, for operators alone.
    """

    said = ""


class RequestFailed(McpError):
    """The server has answered a request with an error."""


def request(request_id: int, method: str, params: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def notification(method: str, params: Mapping[str, Any] | None = None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params:
        message["params"] = params
    return orjson.dumps(message)


def initialize_params() -> dict[str, Any]:
    """We have no capabilities: no sampling, no elicitation, no roots."""
    return {
        "protocolVersion": REVISIONS[0],
        "capabilities": {},
        "clientInfo": {"name": "openclaw-gateway", "version": VERSION},
    }


def revision_of(hello: Mapping[str, Any]) -> str:
    """The revision that the server has chosen. Raises McpError if we do not speak it."""
    revision = hello.get("protocolVersion")
    if revision not in REVISIONS:
        raise McpError(f"it speaks revision {str(revision)[:40]!r} of MCP, which we do not")
    return str(revision)


def capabilities_of(hello: Mapping[str, Any]) -> dict[str, Any]:
    """What the server says that it can do."""
    given = hello.get("capabilities")
    return given if isinstance(given, dict) else {}


def answer_to(message: Message) -> bytes:
    """The answer to a server's request: `ping` is answered, all else refused."""
    head = {"jsonrpc": "2.0", "id": message["id"]}
    method = message.get("method")
    if method == "ping":
        return orjson.dumps({**head, "result": {}})
    why = f"This client does not support {str(method)[:80]}."
    return orjson.dumps({**head, "error": {"code": METHOD_NOT_FOUND, "message": why}})


def parse(data: bytes) -> list[Message]:
    """The messages in a text: one, or a batch of them. Raises McpError: too large, too many values.

    Raises ValueError if it is not JSON; elements that are no messages are left out.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise too_large()
    if len(data) > MAX_VALUES and sum(map(data.count, _SEPARATORS)) > MAX_VALUES:
        raise McpError("it sent a message with too many values")
    value = _load(data)
    found = value if isinstance(value, list) else [value]
    return [one for one in found if isinstance(one, dict) and one.get("jsonrpc") == "2.0"]


def _load(data: bytes) -> Any:
    """The value; half characters, as JavaScript's strings may have, become U+FFFD. Raises ValueError."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        if len(data) > MAX_LENIENT_BYTES or b'"jsonrpc"' not in data:
            raise
    try:
        return without_surrogates(load_json(data))
    except UpstreamError as error:
        raise ValueError(error.message) from None


def too_large() -> McpError:
    return McpError(f"it sent a message of more than {MAX_MESSAGE_BYTES // 2**20} MiB")


def is_request(message: Message) -> bool:
    return isinstance(message.get("method"), str) and isinstance(message.get("id"), int | str)


def error_text(error: Any) -> str:
    """A JSON-RPC error as one sentence, at most MAX_ERROR_CHARS."""
    if not isinstance(error, dict):
        return "an error without a message"
    text, code = error.get("message"), error.get("code")
    text = text if isinstance(text, str) and text.strip() else "an error without a message"
    return f"{text[:MAX_ERROR_CHARS]} (code {code})" if isinstance(code, int) else text[:MAX_ERROR_CHARS]
