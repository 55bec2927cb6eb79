"""The provider of the local model: finds its process and speaks OpenAI's protocol to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from app.cancel import Cancel
from app.config.settings import ProviderSettings
from app.errors import InvalidRequest
from app.events.types import ModelEvent
from app.providers.base import ModelCall, Provider
from app.providers.local.supervisor import Address, LocalModel


class LocalProvider:
    """Answers with the local model, whatever model name a call has.

    `chat` makes the provider that speaks to the server which settings name. An answer that the model's
    process dies in fails; the next call gets a fresh process.
    """

    def __init__(
        self, settings: ProviderSettings, model: LocalModel, chat: Callable[[ProviderSettings], Provider]
    ) -> None:
        self.name = settings.name
        # The model's server offers to keep a connection and then closes it, so the next call on it may fail.
        self._settings = replace(settings, headers={**settings.headers, "Connection": "close"})
        self._model = model
        self._chat = chat
        self._turn = threading.Lock()
        self._address: Address | None = None
        self._speaker: Provider | None = None

    def stream(self, call: ModelCall, cancel: Cancel) -> Iterator[ModelEvent]:
        if any(message.images for message in call.messages):
            raise InvalidRequest("The small local model cannot see images. Choose another model.")
        speaker = self._speaker_to(self._model.address(cancel.sleep))
        yield from speaker.stream(call, cancel)

    def close(self) -> None:
        with self._turn:
            if self._speaker is not None:
                self._speaker.close()
            self._address = self._speaker = None
        self._model.close()

    def _speaker_to(self, address: Address) -> Provider:
        with self._turn:
            if self._speaker is None or address != self._address:
                if self._speaker is not None:
                    self._speaker.close()  # nobody listens at the old address any more
                there = replace(self._settings, base_url=address.base_url, api_key=address.api_key)
                self._speaker = self._chat(there)
                self._address = address
            return self._speaker
