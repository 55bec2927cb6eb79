"""The provider of the local model: finds its process and calls it by OpenAI's protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from app.cancel import Cancel
from app.config.settings import ProviderSettings
from app.errors import InvalidRequest
from app.events.types import ModelEvent
from app.providers.base import ModelCall, Provider
from app.providers.local.forced_call import force_call, is_forced
from app.providers.local.supervisor import Address, LocalModel


class LocalProvider:
    """Answers with the local model, whatever model a call names.

    `build_client` makes a provider for an OpenAI-compatible server from its settings. If the model's process
    dies, the answers under way fail and the next call starts another process.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        model: LocalModel,
        build_client: Callable[[ProviderSettings], Provider],
    ) -> None:
        self.name = settings.name
        # The model's server offers to keep connections but closes them, so the next call on one may fail.
        self._settings = replace(settings, headers={**settings.headers, "Connection": "close"})
        self._model = model
        self._build_client = build_client
        self._lock = threading.Lock()  # for `_address` and `_client`
        self._address: Address | None = None
        self._client: Provider | None = None

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]:
        """The answer. Starts the model's process first if it is not running, and waits for it. A tool is
        called only if the call demands it.

        Raises InvalidRequest if the conversation has images, UpstreamUnavailable if the process does not
        start, and what the client raises.
        """
        if any(message.images for message in call.messages):
            raise InvalidRequest("The small local model cannot see images. Choose another model.")
        client = self._client_for(self._model.address(cancel.sleep))
        if is_forced(call):
            yield from force_call(call, lambda asked: client.stream(asked, cancel))
        else:
            yield from client.stream(call, cancel)

    def close(self) -> None:
        """End the model's process if this worker started it."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._address = self._client = None
        self._model.close()

    def _client_for(self, address: Address) -> Provider:
        with self._lock:
            if self._client is None or address != self._address:
                if self._client is not None:
                    self._client.close()  # the process at the old address has ended
                settings = replace(self._settings, base_url=address.base_url, api_key=address.api_key)
                self._client = self._build_client(settings)
                self._address = address
            return self._client
