"""Server-sent events of a provider: bytes in, the data of each event out.

The format is https://html.spec.whatwg.org/multipage/server-sent-events.html: events end with a blank line, a
line ends with LF, CR or CRLF.
"""

from __future__ import annotations

from app.errors import UpstreamError

MAX_EVENT_BYTES = 4 * 1024 * 1024


class SseDecoder:
    """Decodes one stream, which may arrive in pieces of any size. Comments and fields but `data` are ignored.

    The work is linear in the bytes of the stream, however it is split. Of an event that is not complete yet,
    `_partial` has everything but the line ends it stops with, and is not looked at again until the event is
    complete. `_line_end` has those line ends (at most a LF and a CR), because what they mean depends on the
    next byte: a CR may be half of a CRLF, a LF half of a blank line. They are put in front of the next piece,
    so that a blank line is always found within one piece.
    """

    def __init__(self) -> None:
        self._partial = bytearray()
        self._line_end = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The data of each event that `data` completes, in order. Events without data are left out.

        Raises UpstreamError if an event is larger than MAX_EVENT_BYTES.
        """
        line_end = self._line_end
        text = line_end + data if line_end else data
        if b"\r" in text:
            undecided = b"\r" if text.endswith(b"\r") else b""
            text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n") + undecided
        *events, rest = text.split(b"\n\n")
        if events and self._partial:
            events[0] = self._end_partial(events[0])
        if rest or line_end:
            self._keep(rest)
        payloads: list[bytes] = []
        for event in events:
            if len(event) > 6 and event.startswith(b"data: ") and b"\n" not in event:  # nearly all
                payloads.append(event[6:])
            elif payload := _data_of(event):
                payloads.append(payload)
        return payloads

    def end(self) -> list[bytes]:
        """The data of the last event, if the stream ended without the blank line that should follow it."""
        rest = self._end_partial(b"")
        self._line_end = b""
        return [payload] if (payload := _data_of(rest)) else []

    def _keep(self, rest: bytes) -> None:
        text = rest.rstrip(b"\r\n")
        self._line_end = rest[len(text) :]
        self._partial += text
        _check_size(len(self._partial))

    def _end_partial(self, last: bytes) -> bytes:
        self._partial += last
        event = bytes(self._partial)
        self._partial.clear()
        _check_size(len(event))
        return event


def _check_size(size: int) -> None:
    if size > MAX_EVENT_BYTES:
        raise UpstreamError(f"The provider sent an event of more than {MAX_EVENT_BYTES // 2**20} MiB.")


def _data_of(event: bytes) -> bytes:
    """An event's data; several `data` fields are joined by line feeds, as the format says."""
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)
