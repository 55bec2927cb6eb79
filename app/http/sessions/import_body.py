"""The body of an import -> a conversation (docs/sessions.md#import): an export, or messages of OpenAI's API.

Nothing is stored before all of it is read. What is wrong with it is 400 and says in which line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
import orjson

from app.clock import now_ms
from app.concurrency.fairness import give_way
from app.config.settings import ChatCompletionsSettings
from app.control.session_copies import ImportedSession
from app.errors import BodyTooLarge, InvalidJson, InvalidRequest, MissingMessage
from app.http.chat_completions.messages import load_message
from app.http.request_body import BOM, parse_json
from app.http.sessions.export import VERSION
from app.json_values import TooManyValues, check_values, load_json
from app.media.images import ImageBudget
from app.messages import Message
from app.sessions.portable import ImportedRun, PortableMessage, PortableRun
from app.sessions.rows import IMPORT
from app.sessions.stored import MessageState, RunState

MAX_MOMENT = 2**53  # milliseconds
MAX_TOKENS = 2**31 - 1

Moment = Annotated[int, msgspec.Meta(ge=0, le=MAX_MOMENT)]
Tokens = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]
Line = tuple[int, dict[str, Any]]  # its number, from 1, and what it says


class SessionLine(msgspec.Struct, rename="camel"):
    version: int
    label: str | None = None
    settings: dict[str, Any] = {}
    created_at: Moment | None = None


class RunLine(msgspec.Struct, rename="camel"):
    run: int
    state: RunState = "finished"
    source: str = IMPORT
    started_at: Moment = 0
    ended_at: Moment | None = None
    finish_reason: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    error_code: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    error_message: str | None = None
    model: str | None = None
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    usage_estimated: bool | None = None


class MessageLine(msgspec.Struct, rename="camel"):
    run: int
    message: dict[str, Any]
    state: MessageState = "complete"
    created_at: Moment = 0


class EndLine(msgspec.Struct):
    type: Literal["end"]
    messages: int


def load_import(body: bytes, limits: ChatCompletionsSettings) -> ImportedSession:
    """What `body` has, in whichever form. Raises InvalidJson, InvalidRequest and BodyTooLarge."""
    body = body.removeprefix(BOM)
    first = body.lstrip()[:1]
    if first == b"[":
        return _plain(_elements(_whole(body)), limits)
    head = _first_line(body)
    if head is None:
        document = _whole(body)
        if not isinstance(document, dict) or not isinstance(document.get("messages"), list):
            raise InvalidJson(
                "The request body is neither an export nor a list of messages, nor an object with `messages`."
            )
        return _plain(_elements(document["messages"]), limits)
    if head.get("type") == "session":
        return _ExportReader(limits).read(_lines(body))
    if "messages" in head and "role" not in head:
        return _plain(_elements(_whole(body)["messages"]), limits)
    return _plain(((f"line {number}", line) for number, line in _lines(body)), limits)


def _first_line(body: bytes) -> dict[str, Any] | None:
    """The object in the first line; None if that is not all of one."""
    line = body.lstrip().partition(b"\n")[0]
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _whole(body: bytes) -> Any:
    try:
        check_values(body)
    except TooManyValues as error:
        raise BodyTooLarge(
            f"The request body has {error}. Send one message a line (JSONL) instead."
        ) from error
    return parse_json(body)


def _lines(body: bytes) -> Iterator[Line]:
    for number, line in enumerate(body.split(b"\n"), 1):
        give_way()
        if not line.strip():
            continue
        try:
            value = load_json(line)
        except ValueError as error:
            raise InvalidJson(f"Line {number} is not valid JSON: {error}.") from error
        if not isinstance(value, dict):
            raise InvalidJson(f"Line {number} is not a JSON object.")
        yield number, value


def _elements(messages: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(messages, list):
        raise InvalidRequest("`messages` must be a list.", param="messages")
    for place, one in enumerate(messages):
        give_way()
        yield f"messages[{place}]", one


def _plain(messages: Iterator[tuple[str, Any]], limits: ChatCompletionsSettings) -> ImportedSession:
    """Messages alone: a run ends with its answer, as if each had been asked for by a request."""
    now = now_ms()
    runs: list[tuple[PortableRun, list[PortableMessage]]] = []
    skipped = 0
    for path, raw in messages:
        message = _load(raw, path, limits)
        if message.role == "system":
            skipped += 1
            continue
        if not runs or (runs[-1][1][-1].message.role == "assistant" and message.role != "assistant"):
            runs.append((PortableRun("finished", IMPORT, now, now), []))
        runs[-1][1].append(PortableMessage(message, "complete", now))
    if not runs:
        raise MissingMessage("There is no message to import.", param="messages")
    return ImportedSession(runs, skipped=skipped)


def _load(raw: object, path: str, limits: ChatCompletionsSettings) -> Message:
    """A message; the result of a tool may show pictures, too."""
    budget = ImageBudget(limits)
    if isinstance(raw, dict) and raw.get("role") == "tool" and isinstance(raw.get("content"), list):
        shown = load_message({"role": "user", "content": raw["content"]}, path, budget)
        return load_message({**raw, "content": ""}, path, budget)._replace(content=shown.content)
    return load_message(raw, path, budget)


class _ExportReader:
    """Reads the lines of an export, in their order."""

    def __init__(self, limits: ChatCompletionsSettings) -> None:
        self._limits = limits
        self._runs: list[tuple[PortableRun, list[PortableMessage]]] = []
        self._run: int | None = None
        self._count = self._skipped = 0

    def read(self, lines: Iterator[Line]) -> ImportedSession:
        """Raises InvalidRequest, and InvalidJson for a line that is none."""
        number, first = next(lines)
        session = _convert(first, SessionLine, number)
        if session.version != VERSION:
            raise InvalidRequest(
                f"Line {number}: this export has the version {session.version}; {VERSION} is the one that "
                "can be imported."
            )
        self._read_rest(lines)
        runs: Sequence[ImportedRun] = [one for one in self._runs if one[1]]
        return ImportedSession(runs, session.label, session.settings, session.created_at, self._skipped)

    def _read_rest(self, lines: Iterator[Line]) -> None:
        for number, line in lines:
            kind = line.get("type")
            if kind == "run":
                self._begin_run(_convert(line, RunLine, number))
            elif kind == "message":
                self._add(_convert(line, MessageLine, number), number)
            elif kind == "end":
                return self._check_end(_convert(line, EndLine, number), number, next(lines, None))
            elif kind == "error":
                raise InvalidRequest(f"Line {number}: the export broke off there. Export the session again.")
            else:
                raise InvalidRequest(
                    f"Line {number}: `type` must be run, message or end.", param=f"line {number}.type"
                )
        raise InvalidRequest("The export is not complete: its last line (`type`: `end`) is missing.")

    def _begin_run(self, line: RunLine) -> None:
        known = msgspec.structs.asdict(line)
        self._run = known.pop("run")
        if known["state"] == "running":
            known["state"] = "interrupted"
        self._runs.append((PortableRun(**known), []))

    def _add(self, line: MessageLine, number: int) -> None:
        if line.run != self._run:
            raise InvalidRequest(
                f"Line {number}: a message stands behind the line of its run, and this run is another one.",
                param=f"line {number}.run",
            )
        self._count += 1
        message = _load(line.message, f"line {number}.message", self._limits)
        if message.role == "system":
            self._skipped += 1
            return
        self._runs[-1][1].append(PortableMessage(message, line.state, line.created_at))

    def _check_end(self, line: EndLine, number: int, more: Line | None) -> None:
        if line.messages != self._count:
            raise InvalidRequest(
                f"Line {number}: the export has {line.messages} messages, but {self._count} stand before it.",
                param=f"line {number}.messages",
            )
        if more is not None:
            raise InvalidRequest(f"Line {more[0]}: there is more behind the end of the export.")


T = Any


def _convert(line: dict[str, Any], kind: type[T], number: int) -> T:
    try:
        return msgspec.convert(line, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"Line {number}: {error}.", param=f"line {number}") from error
