"""The provider for any OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from app.cancel import Cancel
from app.config.build.catalogue import CATALOGUE
from app.config.settings import ProviderSettings
from app.events.types import ModelEvent
from app.providers.base import ModelCall
from app.providers.http.deadlines import ReadDeadlines
from app.providers.http.headers import merge_headers
from app.providers.http.retry_after import retry_after_seconds
from app.providers.http.secrets import secrets_of
from app.providers.http.status_errors import error_from_status
from app.providers.http.transport import Transport
from app.providers.openai_chat.answer_body import read_answer
from app.providers.openai_chat.request import build_body

# OpenAI's own reasoning models refuse `max_tokens`; other servers often know nothing else.
NEWER_LIMIT_HOSTS = ("api.openai.com",)

AZURE_HOSTS = (".azure.com", ".azure.us", ".azure.cn")
JWT_START = "eyJ"  # `{"` in base64: a JSON Web Token (RFC 7519)

_encode = msgspec.json.Encoder().encode


class OpenAIChatProvider:
    """Streams answers from `settings.base_url` + `/chat/completions`."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._secrets = secrets_of(settings)
        host = urlsplit(settings.base_url).hostname or ""
        newer = host in NEWER_LIMIT_HOSTS or host.endswith(".openai.azure.com")
        self._max_tokens_field = "max_completion_tokens" if newer else "max_tokens"
        self._model_prefix = CATALOGUE[self.name].model_prefix if self.name in CATALOGUE else ""
        ca_files = settings.trusted_ca_files
        if settings.ca_file is not None:
            ca_files = (*ca_files, settings.ca_file)
        self._transport = Transport(
            settings.base_url, settings.timeouts, _headers(settings), settings.proxy, ca_files
        )

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]:
        """One answer; see `Provider`. A server that answers with one JSON document is understood, too."""
        body = build_body(call, self._settings.model(call.model), self._max_tokens_field, self.name)
        if self._model_prefix and "/" not in call.model:
            body["model"] = self._model_prefix + call.model
        headers = {"X-Request-Id": call.request_id} if call.request_id else {}
        deadlines = ReadDeadlines(self._settings.timeouts)
        with self._transport.post("/chat/completions", _encode(body), headers, cancel) as response:
            status = response.status
            if not 200 <= status < 300:
                raise error_from_status(
                    status,
                    response.read_error(),
                    retry_after_seconds(response.header),
                    self._secrets,
                    response.header("content-type"),
                )
            yield from read_answer(response, deadlines, self._secrets, self.name)

    def close(self) -> None:
        self._transport.close()


def _headers(settings: ProviderSettings) -> dict[str, str]:
    """Those of each request. Azure takes a key in `api-key`, and tokens of Entra ID as all others do."""
    own = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
    key, url = settings.api_key, urlsplit(settings.base_url)
    if key:
        is_azure = (url.hostname or "").endswith(AZURE_HOSTS) or "api-version=" in url.query
        if is_azure and not key.startswith(JWT_START):
            own["api-key"] = key
        else:
            own["Authorization"] = f"Bearer {key}"
    return dict(merge_headers(own, settings.headers).values())
