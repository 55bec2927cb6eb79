"""An image host that sends without a pause lets others go on, in a process of greenlets."""

from __future__ import annotations

from itertools import repeat

import pytest

from tests.support.patched import patched
from tests.unit.media.image_host import Answer, ImageHost, head

MiB = 1024 * 1024

FLOODS: dict[str, Answer] = {
    "a large image": [head(200, f"Content-Length: {400 * MiB}"), *repeat(b"x" * MiB, 400)],
    "chunks of a byte": [head(200, "Transfer-Encoding: chunked"), *repeat(b"1\r\nx\r\n" * 10_000, 100)],
    "interim answers without end": [*repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, 2000)],
}

FETCH = """
    from app.config.settings import ImageSettings
    from app.errors import InvalidRequest
    from app.media.fetch import Network
    from app.media.image_url import fetch_image
    from app.media.location import Location

    turns = []

    def other():
        while True:
            gevent.sleep(0.001)
            turns.append(time.monotonic())

    network = Network(resolve=lambda host, port: ["127.0.0.1"], is_public=lambda address: True)
    limits = ImageSettings(allow_url=True, timeout_seconds=1.0, max_bytes=2**30)
    gevent.spawn(other)
    gevent.sleep(0.01)
    before = len(turns)
    try:
        fetch_image("http://images.test:{port}/a.png", Location.field("x"), limits, network)
    except InvalidRequest:
        pass
    print(len(turns) - before > 5)
"""


@pytest.mark.parametrize("what", FLOODS)
def test_a_fast_image_host_stops_nobody(what: str) -> None:
    with ImageHost() as host:
        host.pages["/a.png"] = FLOODS[what]
        assert patched(FETCH.replace("{port}", str(host.port))).split() == ["True"]
