"""A body whose messages are all text, checked while it is read: by far the most common one.

A chat client resends the whole conversation with every question, so what each message costs is what a long
conversation costs. Read with its type known, one takes a third of what a dict and a look at it take.
"""

from __future__ import annotations

from typing import Any, TypedDict, cast

import msgspec

from app.http.chat_completions.schema import ChatCompletionSchema
from app.messages import PlainMessage

# Fields that no schema names are skipped, as the schema would drop them.
_FIELDS = {**dict.fromkeys(ChatCompletionSchema().fields, Any), "messages": list[PlainMessage]}
_BODY = TypedDict("_BODY", _FIELDS, total=False)  # type: ignore[misc]
_decoder = msgspec.json.Decoder(cast(Any, _BODY))


def read_plain(body: bytes) -> dict[str, Any] | None:
    """The body with its messages as `PlainMessage`, or None for one of another form, or a faulty one."""
    try:
        if not body.isascii():
            body.decode()  # what is skipped would not be looked at
        document: dict[str, Any] = _decoder.decode(body)
    except (ValueError, RecursionError):  # of the decoder's own errors too
        return None
    return document
