"""Session keys in paths, percent-encoded or as they are (docs/sessions.md#keys-in-addresses).

`/v1/sessions/agent:main:a/b/history` is the history of `agent:main:a/b`: of the slashes that stand there as
they are, the last one may begin an action. A slash that is written `%2F` never does.
"""

from __future__ import annotations

from werkzeug.routing import BaseConverter

from app.exchange import ENCODED_SLASH

ACTIONS = ("history", "reset", "fork", "compact", "export", "import")


class SessionKey(BaseConverter):
    """A key with an action behind it."""

    part_isolating = False
    regex = "[^/].*?"
    weight = 200

    def to_python(self, value: str) -> str:
        return value.replace(ENCODED_SLASH, "/")


class WholeSessionKey(SessionKey):
    """A key to the end of the path, which neither is a slash nor an action."""

    regex = rf"(?!.*/(?:{'|'.join(ACTIONS)})\Z)[^/](?:.*[^/])?"
