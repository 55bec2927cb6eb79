"""Where in its request an image is, and the error of that place. Pure."""

from __future__ import annotations

from typing import NamedTuple

from app.errors import InvalidRequest


class Location(NamedTuple):
    """Each transport names places in its own way; `field` is how HTTP does it."""

    prefix: str
    """The beginning of every message about this place."""
    param: str | None = None
    """The error's `param`."""

    @classmethod
    def field(cls, path: str) -> Location:
        """The field of a JSON body, such as `messages[0].content[1].image_url`."""
        return cls(f"`{path}`", path)

    def error(self, reason: str, kind: type[InvalidRequest] = InvalidRequest) -> InvalidRequest:
        """An error of type `kind` that names this place. `reason` is a sentence without its full stop."""
        return kind(f"{self.prefix}: {reason}.", param=self.param)
