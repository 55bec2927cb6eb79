"""Server-sent events of a provider: bytes in, the data of each event out.

The format is https://html.spec.whatwg.org/multipage/server-sent-events.html: events end with a blank line, a
line ends with LF, CR or CRLF.
"""

from __future__ import annotations

import orjson

from app.errors import UpstreamError
from app.providers.http.lenient_json import BOM, check_values, load_json

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
        payloads: list[bytes] = []
        for event in events:
            if len(event) > 6 and event.startswith(b"data: ") and b"\n" not in event:  # nearly all
                payloads.append(event[6:])
            else:
                payloads += self._payloads_of(event)
        if rest or line_end:
            payloads += self._keep(rest)
        return payloads

    def end(self) -> list[bytes]:
        """The data of the last event, if the stream ended without the blank line that should follow it."""
        rest = self._end_partial(b"")
        self._line_end = b""
        return self._payloads_of(rest)

    def _payloads_of(self, event: bytes) -> list[bytes]:
        """The data of one event; several `data` fields are joined by line feeds, as the format says."""
        data = b"\n".join(map(_data, _data_lines(event)))
        return [data] if data else []

    def _keep(self, rest: bytes) -> list[bytes]:
        """Keep the beginning of an event. The payloads that are known before it ends."""
        text = rest.rstrip(b"\r\n")
        self._line_end = rest[len(text) :]
        self._partial += text
        _check_size(len(self._partial))
        return []

    def _end_partial(self, last: bytes) -> bytes:
        self._partial += last
        event = bytes(self._partial)
        self._partial.clear()
        _check_size(len(event))
        check_values(event)
        return event


def _check_size(size: int) -> None:
    if size > MAX_EVENT_BYTES:
        raise UpstreamError(f"The provider sent an event of more than {MAX_EVENT_BYTES // 2**20} MiB.")


def _data_lines(event: bytes) -> list[bytes]:
    return [line for line in event.removeprefix(BOM).split(b"\n") if line.startswith(b"data:")]


def _data(line: bytes) -> bytes:
    return line[5:].removeprefix(b" ")


class JsonSseDecoder(SseDecoder):
    """Decodes streams whose data is JSON, of servers that do not keep to the format.

    * Between two events is one line end only: of several `data` fields, one that is JSON (or `[DONE]`) by
      itself is a payload by itself, at once and not only when a blank line comes.
    * An event named `error` is a failure, whatever its data: its payload is `{"error": <data>}`. So is a line
      `error: <data>`, as llama.cpp had it. Events named `ping` and the like have no payload.
    * A line that is a JSON object without a field's name is a payload: so servers, and proxies between, end
      an answer that fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self._has_open_data = False  # `_partial` has `data` that goes on in the next line

    def _payloads_of(self, event: bytes) -> list[bytes]:
        self._has_open_data = False
        return _split(event.removeprefix(BOM).split(b"\n"), is_whole_event=True)[0]

    def _keep(self, rest: bytes) -> list[bytes]:
        super()._keep(rest)
        if self._has_open_data or not (self._line_end or b"\n" in rest):
            return []
        lines = bytes(self._partial).removeprefix(BOM).split(b"\n")
        unfinished = [] if self._line_end else [lines.pop()]
        payloads, kept = _split(lines, is_whole_event=False)
        self._has_open_data = any(line.startswith(b"data:") for line in kept)
        self._partial[:] = b"\n".join([*kept, *unfinished])
        return payloads


PINGS = (b"ping", b"heartbeat", b"keepalive", b"keep-alive")
FAILURES = (b"error", b"exception", b"fail")  # parts of an event's name


def _split(lines: list[bytes], is_whole_event: bool) -> tuple[list[bytes], list[bytes]]:
    """The payloads of an event's lines, and the lines to keep if the event goes on."""
    payloads: list[bytes] = []
    name, open_data = b"", list[bytes]()
    count = sum(line.startswith(b"data:") for line in lines)
    if is_whole_event and count == 1:
        lines = sorted(lines, key=_is_no_name)  # its name may be behind the data
    for line in lines:
        if line.startswith(b"event:"):
            name = line[6:].strip().lower()
        elif line.startswith(b"data:"):
            data = _data(line)
            if open_data or not ((is_whole_event and count == 1) or _is_whole(data)):
                open_data.append(data)
            else:
                payloads += _named(name, data)
                name = b""
        elif line.startswith(b"error:"):
            payloads += _named(b"error", line[6:].strip())
        elif line.startswith((b"{", b"[{", b"[DONE]")) and not open_data and _is_whole(line):
            payloads.append(line)
    if is_whole_event:
        return payloads + _named(name, b"\n".join(open_data)), []
    kept = [b"event: " + name] if name else []
    return payloads, kept + [b"data: " + data for data in open_data]


def _is_whole(data: bytes) -> bool:
    """Whether this is a payload by itself and not a line of one."""
    data = data.strip()
    if not data.startswith((b"{", b"[")) or data == b"[DONE]":
        return True
    if not data.endswith((b"}", b"]")):
        return False
    try:
        load_json(data)
    except ValueError:
        return False
    return True


def _named(name: bytes, data: bytes) -> list[bytes]:
    """The payload of an event with that name."""
    if not any(failure in name for failure in FAILURES):
        return [] if name in PINGS or not data.strip() else [data]
    try:
        error = orjson.loads(data)
    except orjson.JSONDecodeError:
        error = data.decode("utf-8", "replace").strip()
    return [b'{"error":' + orjson.dumps(error or name.decode("utf-8", "replace")) + b"}"]


def _is_no_name(line: bytes) -> bool:
    return not line.startswith(b"event:")
