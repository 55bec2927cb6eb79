"""Which of a call's time limits bounds the next read, and what is said when it has run out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.config.settings import ProviderTimeouts
from app.errors import UpstreamTimeout, UpstreamTruncated
from app.providers.http import deadlines
from app.providers.http.deadlines import ReadDeadlines
from app.providers.http.response import Response

TIMEOUTS = ProviderTimeouts(first_token=60.0, idle=10.0)


class PlayedResponse(Response):
    """Gives `pieces`; then every read runs into its time-out. Remembers the times it was given."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.allowed: list[float] = []

    def read_some(self, timeout: float) -> bytes:
        self.allowed.append(timeout)
        if not self.pieces:
            raise TimeoutError
        return self.pieces.pop(0)


@pytest.mark.parametrize(
    ("timeouts", "begun", "seconds", "message"),
    [
        (TIMEOUTS, False, 60.0, "no first token within 60 s"),
        (TIMEOUTS, True, 10.0, "fell silent for 10 s"),
        (replace(TIMEOUTS, total=5.0), False, 5.0, "no first token within 60 s"),
        (replace(TIMEOUTS, total=5.0), True, 5.0, "fell silent for 10 s"),
        (replace(TIMEOUTS, total=0.0), True, 0.001, "did not end its answer within 0 s"),
    ],
)
def test_the_nearest_limit_counts(timeouts: ProviderTimeouts, begun: bool, seconds: float, message: str):
    response = PlayedResponse()
    with pytest.raises(UpstreamTimeout, match=message):
        ReadDeadlines(timeouts).read(response, begun)
    assert response.allowed == [pytest.approx(seconds, abs=0.5)]


def test_a_document_is_read_to_its_end():
    assert ReadDeadlines(TIMEOUTS).read_document(PlayedResponse(b"ab", b"c", b"")) == b"abc"


def test_a_document_that_is_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deadlines, "MAX_DOCUMENT_BYTES", 3)
    with pytest.raises(UpstreamTruncated, match="larger than"):
        ReadDeadlines(TIMEOUTS).read_document(PlayedResponse(b"ab", b"cd", b"ef"))
