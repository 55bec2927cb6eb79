"""The parser of one answer: geventhttpclient's (llhttp, in C), with bounds.

Its callbacks are methods with a leading underscore, meant for subclasses. When they are called is held by
tests/unit/providers/http/test_library_contracts.py, which names the version.
"""

from __future__ import annotations

from geventhttpclient.response import HTTPParseError, HTTPResponse

MAX_INTERIM_ANSWERS = 8  # such as 100 Continue


class AnswerParser(HTTPResponse):
    """Parses one answer and the interim ones before it. What comes behind the answer is an error.

    The library would take it for a second answer, and add that one's body to the first.
    """

    def __init__(self) -> None:
        super().__init__("POST")
        self._begun = 0

    def _on_message_begin(self) -> None:
        if self._begun:
            if self.get_code() >= 200:
                raise HTTPParseError("data behind the end of the answer")
            if self._begun > MAX_INTERIM_ANSWERS:
                raise HTTPParseError("too many interim answers")
        self._begun += 1
        super()._on_message_begin()
