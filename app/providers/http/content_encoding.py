"""The body of an answer that is compressed although the request asks for none (`Accept-Encoding`)."""

from __future__ import annotations

import zlib

from app.errors import UpstreamError, UpstreamTruncated

MAX_PIECE = 256 * 1024  # bytes that are decompressed at a time, however small they were
MAX_SHOWN = 40  # characters of an encoding's name in our message


class BodyDecoder:
    """Decompresses gzip and deflate in pieces, so that a small body cannot become a large one at once.

    Which of them it is shows in the first two bytes: some servers take "deflate" for one without a header.
    """

    def __init__(self) -> None:
        self._zlib: zlib._Decompress | None = None
        self._input = b""

    def feed(self, data: bytes) -> None:
        self._input += data

    def more(self) -> bytes:
        """The next piece of what has been fed, b"" when more has to be fed. Raises UpstreamError."""
        if self._zlib is None:
            if len(self._input) < 2:
                return b""
            self._zlib = zlib.decompressobj(_window_bits(self._input))
        while True:
            if self._zlib.eof and self._input:
                self._zlib = zlib.decompressobj(47)  # the next member of a gzip body
            try:
                piece = self._zlib.decompress(self._input, MAX_PIECE)
            except zlib.error as error:
                raise UpstreamError("The provider's compressed answer is damaged.") from error
            self._input = self._zlib.unused_data or self._zlib.unconsumed_tail
            if piece or not self._input:
                return piece

    def end(self) -> None:
        """Raises UpstreamTruncated if what was fed ended in the middle."""
        if self._zlib is None or not self._zlib.eof:
            raise UpstreamTruncated("The provider's compressed answer was cut short.")


def _window_bits(start: bytes) -> int:
    """What `zlib` calls the format that begins so: 47 for gzip or zlib with its header, -15 for none."""
    has_header = start[:2] == b"\x1f\x8b" or (start[0] & 15 == 8 and int.from_bytes(start[:2]) % 31 == 0)
    return 47 if has_header else -15


def decoder_for(encoding: str | None) -> BodyDecoder | None:
    """What decodes a body with that `Content-Encoding`; None if it is not encoded. Raises UpstreamError."""
    name = (encoding or "").strip().lower()
    if name in ("", "identity", "none", "utf-8"):
        return None
    if name in ("gzip", "x-gzip", "deflate"):
        return BodyDecoder()
    raise UpstreamError(
        f"The provider compressed its answer with {name[:MAX_SHOWN]!r} though asked not to compress it."
    )
