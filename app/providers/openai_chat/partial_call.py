"""A tool call while it arrives, and the events that it makes.

Clients take a call's id and name from its first fragment only. So the first event is held back until the
arguments begin: by then the name is complete.
"""

from __future__ import annotations

import logging
from typing import Any

from app.errors import UpstreamError
from app.events.types import ToolCallDelta
from app.json_values import load_json
from app.logs.lines import log_event
from app.providers.openai_chat.content import HalfCharacters

logger = logging.getLogger("app.providers")

MAX_CHECKS = 1000  # how often the arguments of one call are looked at as a whole
PLACEHOLDERS = ("{}", "null")  # some servers send one with the name, and then the arguments


class PartialCall:
    """A call as far as it has come. `index` is that of its events; `is_blank`: there are no arguments yet."""

    def __init__(self, index: int, given_index: int | None) -> None:
        self.index = index
        self.given_index = given_index
        self.id: str | None = None
        self.next_id: str | None = None  # came without a name: perhaps that of the call that follows
        self.name = ""
        self.extra: dict[str, Any] = {}  # what the provider wants back; not in any event yet
        self.announced = False  # whether its first event is out
        self.is_blank = True
        self._pieces: list[str] = []
        self._size = 0
        self._halves = HalfCharacters()
        self._checks = 0
        self.is_placeholder = False  # whether nothing else has come, and the first event waits for more

    @property
    def arguments(self) -> str:
        return "".join(self._pieces)

    @property
    def is_complete(self) -> bool:
        """Whether the arguments are JSON as they are."""
        if self.is_blank or self._checks >= MAX_CHECKS:
            return False
        self._checks += 1
        return is_json(self.arguments)

    def add_arguments(self, piece: str) -> ToolCallDelta | None:
        """Take a fragment that has nothing but arguments, and its event; None if it needs a closer look."""
        if not self.announced or self._halves.held or piece[:1] == "{" or not piece.isascii() or not piece:
            return None
        self._pieces.append(piece)
        self._size += len(piece)
        return ToolCallDelta(self.index, None, None, piece)

    def add(self, call_id: str | None, name: str, arguments: str) -> list[ToolCallDelta]:
        """Take a fragment; the events that it makes possible."""
        was_named = bool(self.name)
        if not self.announced:
            self.id = self.id or call_id
            self._add_name(name)
        arguments = self._halves.join(arguments)
        if self._repeats(arguments):
            return []
        if self.is_placeholder and arguments.lstrip().startswith("{"):
            self._pieces, self._size, self.is_placeholder = [], 0, False
        if arguments:
            self._pieces.append(arguments)
            self._size += len(arguments)
            self.is_blank = self.is_blank and not arguments.strip()
        if self.announced:
            call_id = self.id if call_id else None
            return [ToolCallDelta(self.index, call_id, arguments=arguments)] if arguments else []
        if not self.name or self.is_blank:
            return []
        self.is_placeholder = self.arguments in PLACEHOLDERS and (self.is_placeholder or not was_named)
        return [] if self.is_placeholder else self._announce(was_named, arguments)

    def release(self) -> list[ToolCallDelta]:
        """The event that is held back because real arguments may follow the placeholder: none do."""
        if not self.is_placeholder:
            return []
        self.is_placeholder = False
        return self._announce(False, "")

    def end(self, is_whole: bool) -> list[ToolCallDelta]:
        """The events that are left when nothing more comes. Raises UpstreamError if the call has no name.

        `is_whole`: the model was not cut off, so no arguments at all are meant as an empty object.
        """
        if not self.name:
            raise UpstreamError("The provider sent a tool call without a name.")
        rest = self._halves.rest()
        if is_whole and self.is_blank and not rest:
            rest = "{}"
        before = "" if self.announced else self.arguments
        self._pieces.append(rest)
        if is_whole and not is_json(self.arguments):
            log_event(
                logger,
                logging.WARNING,
                "the arguments of a tool call are not JSON",
                tool=self.name,
                characters=self._size,
            )
        if self.announced:
            return [ToolCallDelta(self.index, arguments=rest)] if rest else []
        return [ToolCallDelta(self.index, self.id, self.name, before + rest)]

    def _add_name(self, name: str) -> None:
        if name.startswith(self.name):  # the first piece, the same again, or all of the name so far
            self.name = name
        else:
            self.name += name

    def _repeats(self, arguments: str) -> bool:
        """Whether these are the arguments that have come already, again and as a whole."""
        return (
            arguments.startswith("{")
            and len(arguments) == self._size
            and arguments == self.arguments
            and self.is_complete
        )

    def _announce(self, was_named: bool, arguments: str) -> list[ToolCallDelta]:
        self.announced = True
        if not was_named:
            return [ToolCallDelta(self.index, self.id, self.name, self.arguments)]
        before = "".join(self._pieces[:-1])
        first = ToolCallDelta(self.index, self.id, self.name, before)
        return [first, ToolCallDelta(self.index, arguments=arguments)]


def is_json(text: str) -> bool:
    try:
        load_json(text)
    except ValueError:
        return False
    return True
