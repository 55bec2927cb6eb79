"""What a caller's key for a request holds for, and which requests count as the same one
(docs/idempotency.md). Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import orjson

from app.errors import UnsupportedValue
from app.sessions.stored import RunKey

MAX_KEY = 256  # characters
NOT_COMPARED = ("stream", "stream_options")  # how the answer is sent, not what it is

# The route of the Gateway protocol's methods that start runs: one for all, as the key is the run's id.
WEBSOCKET = "ws"


def check_key(key: str, param: str) -> str:
    """`key`, if it has 1 to MAX_KEY visible ASCII characters. Raises UnsupportedValue."""
    if not 1 <= len(key) <= MAX_KEY or not all("!" <= one <= "~" for one in key):
        raise UnsupportedValue(
            f"`{param}` must have 1 to {MAX_KEY} visible ASCII characters: a UUID, for example.", param=param
        )
    return key


def key_id(key: str, owner: str | None, route: str, session_key: str | None) -> str:
    """What the key is known by: whose it is, where it was sent, and for which session (None: for none)."""
    return _hash(b"", (key, owner, route, session_key))


def body_hash(body: bytes, *chosen: str | None) -> str:
    """A hash of what is asked for. Neither the order of the fields nor the space between them counts.

    `chosen` is what the request's headers choose, such as its agent.
    """
    return _hash(body if (found := _canonical(body)) is None else found, chosen)


def run_id_key(run_id: str, owner: str | None, *asked: str | None) -> RunKey:
    """The key of a run whose caller has chosen its id (as it wrote it), and what it asks for."""
    return RunKey(key_id(run_id, owner, WEBSOCKET, None), _hash(b"", asked), is_run_id=True)


def _canonical(body: bytes) -> bytes | None:
    """The JSON object in one form; None for a body that has none, such as one that is too deep to write."""
    try:
        fields = orjson.loads(body)
        compared = {name: value for name, value in fields.items() if name not in NOT_COMPARED}
        return orjson.dumps(compared, option=orjson.OPT_SORT_KEYS)
    except (ValueError, TypeError, AttributeError):  # orjson's errors are ValueErrors and TypeErrors
        return None


def _hash(body: bytes, chosen: Sequence[str | None]) -> str:
    return hashlib.sha256(json.dumps(chosen).encode() + b"\n" + body).hexdigest()
