"""The body of an answer as model events: a stream of events or one document, by its content.

Servers and proxies label either as either, or as text/plain.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.errors import UpstreamError
from app.events.types import ModelEvent
from app.providers.http.deadlines import ReadDeadlines
from app.providers.http.lenient_json import BOM
from app.providers.http.response import Response
from app.providers.http.secrets import Secrets
from app.providers.http.sse import JsonSseDecoder
from app.providers.http.status_errors import unexpected_content_type
from app.providers.openai_chat.chunk import documents_of
from app.providers.openai_chat.stream import ChatStream

EXPECTED = "a chat completion"


def read_answer(
    response: Response, deadlines: ReadDeadlines, secrets: Secrets | None, provider: str
) -> Iterator[ModelEvent]:
    """The events of an answer whose status is a success.

    `provider` is the name of the one that answers; `secrets` are removed from the messages of errors. Raises
    what `ChatStream` and `Response` raise, and UpstreamError if the body is neither events nor JSON.
    """
    first = _first_bytes(response, deadlines)
    if first.startswith((b"{", b"[")):
        yield from read_whole(first + deadlines.read_document(response), secrets, provider)
    elif first.startswith(b"<"):
        label = _label(response)
        raise unexpected_content_type("text/html" if label == "text/event-stream" else label, EXPECTED)
    else:
        stream = ChatStream(secrets, provider)
        yield from _read_events(first, response, deadlines, stream)


def _label(response: Response) -> str:
    """The type of the body in its header; empty if there is none."""
    return (response.header("content-type") or "").partition(";")[0].strip().lower()


def _first_bytes(response: Response, deadlines: ReadDeadlines) -> bytes:
    """The first bytes of the body that are not blank, without a byte order mark; b"" if there are none."""
    first = b""
    while data := deadlines.read(response, begun=False):
        first = (first + data).lstrip()
        if first.startswith(BOM):
            first = first[len(BOM) :].lstrip()
        if first and not BOM.startswith(first):
            break
    return first


def _read_events(
    first: bytes, response: Response, deadlines: ReadDeadlines, stream: ChatStream
) -> Iterator[ModelEvent]:
    decoder = JsonSseDecoder()
    data = first
    while data:
        for payload in decoder.feed(data):
            yield from stream.read(payload)
        if stream.done:
            response.finish()
            break
        data = deadlines.read(response, stream.begun)
    else:
        for payload in decoder.end():
            yield from stream.read(payload)
    if not stream.has_choices and (label := _label(response)) not in ("text/event-stream", ""):
        raise unexpected_content_type(label, EXPECTED)
    yield from stream.finish()


def read_whole(body: bytes, secrets: Secrets | None, provider: str | None = None) -> Iterator[ModelEvent]:
    """The events of an answer that is one JSON document although a stream was asked for.

    Raises UpstreamError if it is not a chat completion, and what `ChatStream` raises.
    """
    stream = ChatStream(secrets, provider)
    documents = documents_of(body)
    for document in documents:
        yield from stream.read(document)
    if not stream.has_choices:
        raise UpstreamError("The provider answered with JSON that is no chat completion.")
    if len(documents) == 1:  # one that has been parsed is whole; of several the last may be missing
        stream.done = True
    yield from stream.finish()
