"""The provider for any OpenAI-compatible server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from app.cancel import Cancel
from app.config.settings import ProviderSettings, ProviderTimeouts
from app.errors import UpstreamTimeout, UpstreamTruncated
from app.events.types import ModelEvent
from app.providers.base import ModelCall
from app.providers.http.transport import Response, Transport
from app.providers.openai_chat.errors import error_from_status, not_a_completion
from app.providers.openai_chat.request import build_body
from app.providers.openai_chat.stream import ChatStream, SseDecoder, read_whole

MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
ERROR_SECONDS = 5.0

# OpenAI's own reasoning models refuse `max_tokens`; other servers often know nothing else.
NEWER_LIMIT_HOSTS = ("api.openai.com",)

_encode = msgspec.json.Encoder().encode


class OpenAIChatProvider:
    """Streams answers from `settings.base_url` + `/chat/completions`."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.name = settings.name
        self._settings = settings
        host = urlsplit(settings.base_url).hostname or ""
        newer = host in NEWER_LIMIT_HOSTS or host.endswith(".openai.azure.com")
        self._max_tokens_field = "max_completion_tokens" if newer else "max_tokens"
        headers = {"Accept": "text/event-stream", **settings.headers}
        if settings.api_key:
            headers["Authorization"] = f"Bearer {settings.api_key}"
        self._transport = Transport(settings.base_url, settings.timeouts, headers)

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]:
        body = build_body(call, self._settings.model(call.model), self._max_tokens_field)
        headers = {"X-Request-Id": call.request_id} if call.request_id else {}
        clock = _Clock(self._settings.timeouts)
        with self._transport.post("/chat/completions", _encode(body), headers, cancel) as response:
            secret = self._settings.api_key
            if response.status != 200:
                text = response.read_all(ERROR_SECONDS, MAX_ERROR_BYTES)
                raise error_from_status(response.status, text, response.header("retry-after"), secret)
            kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
            if kind == "application/json":
                yield from read_whole(_read_document(response, clock), secret)
            elif kind in ("text/event-stream", ""):
                yield from _read_events(response, clock, secret)
            else:
                raise not_a_completion(kind)

    def close(self) -> None:
        self._transport.close()


class _Clock:
    """How long the next read may take: to the first token, then between bytes, and in all."""

    def __init__(self, timeouts: ProviderTimeouts) -> None:
        self._timeouts = timeouts
        self._start = time.monotonic()

    def read(self, response: Response, begun: bool) -> bytes:
        limits = self._timeouts
        spent = time.monotonic() - self._start
        allowed = limits.idle if begun else limits.first_token - spent
        if limits.total is not None:
            allowed = min(allowed, limits.total - spent)
        try:
            return response.read_some(max(allowed, 0.001))
        except TimeoutError as error:
            raise UpstreamTimeout(self._what_ran_out(begun)) from error

    def _what_ran_out(self, begun: bool) -> str:
        limits = self._timeouts
        if limits.total is not None and time.monotonic() - self._start >= limits.total:
            return f"The provider did not end its answer within {limits.total:g} s."
        if begun:
            return f"The provider fell silent for {limits.idle:g} s in the middle of its answer."
        return f"The provider gave no first token within {limits.first_token:g} s."


def _read_events(response: Response, clock: _Clock, secret: str | None) -> Iterator[ModelEvent]:
    decoder, stream = SseDecoder(), ChatStream(secret)
    while data := clock.read(response, stream.begun):
        for payload in decoder.feed(data):
            yield from stream.read(payload)
        if stream.done:
            response.finish()
            break
    for payload in decoder.end():
        yield from stream.read(payload)
    yield stream.finish()


def _read_document(response: Response, clock: _Clock) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while data := clock.read(response, begun=False):
        pieces.append(data)
        size += len(data)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamTruncated("The provider's answer is larger than 64 MiB.")
    return b"".join(pieces)
