"""What it takes to go on with a run in another process, as JSON in the database: the request without its own
messages, which are stored as such. It holds no secrets: a principal is a name with its scopes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from app.messages import Message
from app.runs.request import RunRequest
from app.sessions.stored import LeftRun
from app.storage.message_json import dump_message, load_message

VERSION = 1  # another one is not read: such a run is interrupted
MAX_RESUMED = 3  # times that a run is begun again whose worker has died
MAX_RESENT = 4 * 1024 * 1024  # characters of a resent conversation

_FIELDS: Any = msgspec.defstruct(
    "RequestFields",
    [
        (field.encode_name, field.type, field.default)
        if field.default_factory is msgspec.NODEFAULT
        else (field.encode_name, field.type, msgspec.field(default_factory=field.default_factory))
        for field in msgspec.structs.fields(RunRequest)
        if field.name != "messages"
    ],
    frozen=True,
    kw_only=True,
)


class StoredRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """`resent`: role and JSON of the messages before those that are new for certain, of which there were
    `new`. `resumed`: how often it was begun again.
    """

    version: int
    new: int
    request: msgspec.Raw
    resent: tuple[tuple[str, str], ...] = ()
    resumed: int = 0


def may_be_resumed(request: RunRequest, *, is_shared: bool) -> bool:
    """Whether another process may go on with the run, as its client can come back for it or still waits.

    `is_shared`: there may be other workers. The only one goes on with what is durable alone: a gateway that
    is started again may have been away for long.
    """
    if request.durable or not is_shared:
        return request.durable
    return request.source in ("ws", "agent", "http")


def comes_back(request: RunRequest) -> bool:
    """Whether its client can come back for the run, once the connection is gone."""
    return request.durable or request.source in ("ws", "agent")


def dump_request(request: RunRequest, stored: Sequence[Message]) -> str | None:
    """The request as JSON; `stored` are those of its messages that the store has. None if it is too large."""
    earlier = request.messages[: len(request.messages) - len(stored)]
    resent = tuple((one.role, dump_message(one)) for one in earlier)
    if sum(len(content) for _, content in resent) > MAX_RESENT:
        return None
    fields = {name: getattr(request, name) for name in _FIELDS.__struct_fields__}
    raw = msgspec.Raw(msgspec.json.encode(fields))
    return _dump(StoredRequest(VERSION, len(stored), raw, resent))


def load_request(text: str) -> StoredRequest | None:
    """The same again; None if another version has written it."""
    try:
        found = msgspec.json.decode(text, type=StoredRequest)
    except msgspec.MsgspecError:
        return None
    return found if found.version == VERSION else None


def counted(text: str | None, *, has_begun: bool) -> str | None:
    """The request of a run that is begun again; None if that may not be, or was too often."""
    found = None if text is None else load_request(text)
    if found is None or not has_begun:
        return None if found is None else text
    if found.resumed >= MAX_RESUMED:
        return None
    return _dump(msgspec.structs.replace(found, resumed=found.resumed + 1))


def rebuild(text: str, run_id: str, left: LeftRun) -> RunRequest | None:
    """The request with its messages again; None if it cannot be read."""
    found = load_request(text)
    if found is None:
        return None
    try:
        fields = msgspec.json.decode(found.request, type=_FIELDS)
    except msgspec.MsgspecError:
        return None
    messages: tuple[Message, ...] = left.input
    if len(messages) == found.new:  # else the store was brought into line already
        messages = (*(load_message(role, content) for role, content in found.resent), *messages)  # type: ignore[arg-type]
    values = {name: getattr(fields, name) for name in _FIELDS.__struct_fields__}
    return RunRequest(messages=messages, **{**values, "run_id": run_id})


def _dump(request: StoredRequest) -> str:
    return msgspec.json.encode(request).decode()
