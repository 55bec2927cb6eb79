"""How long a call to a provider may take: to its first token, between two pieces, and in all."""

from __future__ import annotations

import time

from app.config.settings import ProviderTimeouts
from app.errors import UpstreamTimeout, UpstreamTruncated
from app.providers.http.lenient_json import check_values
from app.providers.http.response import Response

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
MIN_READ_SECONDS = 0.001


class ReadDeadlines:
    """The time limits of one call, counted from when this object is made."""

    def __init__(self, timeouts: ProviderTimeouts) -> None:
        self._timeouts = timeouts
        self._start = time.monotonic()

    def read(self, response: Response, begun: bool) -> bytes:
        """The next bytes of the body, b"" at its end. `begun`: whether the model has put out anything yet.

        Raises UpstreamTimeout, and what `Response.read_some` raises.
        """
        limits = self._timeouts
        spent = time.monotonic() - self._start
        allowed = limits.idle if begun else limits.first_token - spent
        if limits.total is not None:
            allowed = min(allowed, limits.total - spent)
        try:
            return response.read_some(max(allowed, MIN_READ_SECONDS))
        except TimeoutError as error:
            raise UpstreamTimeout(self._what_ran_out(begun)) from error

    def read_document(self, response: Response) -> bytes:
        """A body that is one document and not a stream.

        Raises UpstreamTruncated if it is larger than MAX_DOCUMENT_BYTES, and what `read` raises.
        """
        pieces: list[bytes] = []
        size = 0
        while data := self.read(response, begun=False):
            pieces.append(data)
            size += len(data)
            if size > MAX_DOCUMENT_BYTES:
                raise UpstreamTruncated(
                    f"The provider's answer is larger than {MAX_DOCUMENT_BYTES // 2**20} MiB."
                )
        document = b"".join(pieces)
        check_values(document)
        return document

    def _what_ran_out(self, begun: bool) -> str:
        limits = self._timeouts
        if limits.total is not None and time.monotonic() - self._start >= limits.total:
            return f"The provider did not end its answer within {limits.total:g} s."
        if begun:
            return f"The provider fell silent for {limits.idle:g} s in the middle of its answer."
        return f"The provider gave no first token within {limits.first_token:g} s."
