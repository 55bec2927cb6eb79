"""Fetching an image from a host that answers correctly, wrongly, slowly or maliciously."""

from __future__ import annotations

import gzip
import time
from dataclasses import replace

import pytest

from app.config.settings import ImageSettings
from app.errors import InvalidRequest
from app.media.fetch import INTERNET, Network
from app.media.image_url import fetch_image
from app.media.location import Location
from tests.unit.media.image_host import Answer, ImageHost, head, ok, png, redirect

LIMITS = ImageSettings(allow_url=True, timeout_seconds=5, max_bytes=100_000)
PATH = "messages[0].content[1].image_url"


def refusal(url: str, network: Network, limits: ImageSettings = LIMITS) -> str:
    with pytest.raises(InvalidRequest) as caught:
        fetch_image(url, Location.field(PATH), limits, network)
    assert caught.value.param == PATH
    assert caught.value.message.startswith(f"`{PATH}`")
    return caught.value.message


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


CHUNKED = head(200, "Transfer-Encoding: chunked")

WELL = {
    "with its length": ok(png()),
    "until the end": head(200) + png(),
    "chunked": CHUNKED + chunk(png()[:5]) + chunk(png()[5:]) + chunk(b""),
    "in pieces": [head(200, f"Content-Length: {len(png())}"), png()[:9], 0.05, png()[9:]],
    "called text": ok(png(), "Content-Type: text/html"),
    "called unchanged": ok(png(), "Content-Encoding: identity"),
    "after a word of patience": head(100) + ok(png()),
}  # fmt: skip


@pytest.mark.parametrize("way", WELL)
def test_an_image_is_fetched(way: str, host: ImageHost, network: Network) -> None:
    host.pages["/a.png"] = WELL[way]
    assert fetch_image(host.url("/a.png"), Location.field(PATH), LIMITS, network) == ("image/png", png())


def test_the_request_reveals_little(
    host: ImageHost, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    host.pages["/a.png?q=%20"] = ok(png())
    fetch_image(host.url("/a.png?q=%20#part"), Location.field(PATH), LIMITS, network)
    assert host.requests[0].split("\r\n") == [
        "GET /a.png?q=%20 HTTP/1.1",
        f"Host: images.test:{host.port}",
        "User-Agent: openclaw-gateway",
        "Accept: image/jpeg, image/png, image/gif, image/webp",
        "Accept-Encoding: identity",
        "Connection: close",
        "",
        "",
    ]


TOO_LARGE = png(100_000)
BADLY: dict[str, tuple[Answer, str]] = {
    "not there": (head(404), "status 404"),
    "nothing new": (head(304), "status 304"),
    "a part": (head(206, "Content-Length: 3") + b"abc", "status 206"),
    "not HTTP": (b"220 mail.example ESMTP\r\n", "does not speak HTTP"),
    "nothing": (b"", "does not speak HTTP"),
    "promised too large": (head(200, "Content-Length: 100001"), "larger than"),
    "too large": (head(200) + TOO_LARGE, "larger than"),
    "too large in chunks": (CHUNKED + chunk(TOO_LARGE) + chunk(b""), "larger than"),
    "absurd length": (head(200, "Content-Length: " + "9" * 30) + png(), "larger than"),
    "cut short": (head(200, "Content-Length: 5000") + png(), "broke off"),
    "cut chunk": (CHUNKED + b"5000\r\n" + png(), "broke off"),
    "broken chunk": (CHUNKED + b"zz\r\n" + png(), "broke off"),
    "endless header": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "broke off"),
    "many headers": (head(200, *["X: y"] * 200) + png(), "broke off"),
    "compressed": (ok(gzip.compress(png()), "Content-Encoding: gzip"), "compressed"),
    "compressed on the way": (head(200, "Transfer-Encoding: gzip") + gzip.compress(png()), "not an image"),
    "empty": (ok(b""), "not an image"),
    "a page called image": (ok(b"<html>secret</html>", "Content-Type: image/png"), "not an image"),
    "SVG": (ok(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "Content-Type: image/svg+xml"), "not an image"),
    "redirect to nowhere": (head(302), "redirects to nowhere"),
    "malformed redirect": (redirect("http://[::1"), "malformed"),
}  # fmt: skip


@pytest.mark.parametrize("way", BADLY)
def test_a_bad_answer_is_refused(way: str, host: ImageHost, network: Network) -> None:
    host.pages["/a.png"], reason = BADLY[way]
    message = refusal(host.url("/a.png"), network)
    assert reason in message
    assert "secret" not in message


def test_a_content_length_that_is_too_small_ends_the_image(host: ImageHost, network: Network) -> None:
    host.pages["/a.png"] = head(200, f"Content-Length: {len(png())}") + png() + TOO_LARGE
    assert fetch_image(host.url("/a.png"), Location.field(PATH), LIMITS, network).content == png()


def drip() -> Answer:
    yield b"HTTP/1.1 200 OK\r\nX: "
    for _ in range(1000):
        yield b"x"
        yield 0.05


SLOW: dict[str, Answer] = {
    "no answer": [60.0],
    "slow headers": drip(),
    "a body that stops": [head(200, "Content-Length: 500"), png(), 60.0],
    "patience without end": [head(100), 0.01] * 6000,
}  # fmt: skip


@pytest.mark.parametrize("way", SLOW)
def test_the_time_limit_holds_for_the_whole_fetch(way: str, host: ImageHost, network: Network) -> None:
    host.pages["/a.png"] = SLOW[way]
    began = time.monotonic()
    message = refusal(host.url("/a.png"), network, replace(LIMITS, timeout_seconds=0.3))
    assert message == f"`{PATH}`: the image could not be fetched within 0.3 s."
    assert time.monotonic() - began < 30


def test_a_refused_connection(network: Network) -> None:
    with ImageHost() as gone:
        url = gone.url("/a.png")
    assert "cannot be reached" in refusal(url, network)


def test_the_next_address_is_tried(host: ImageHost) -> None:
    host.pages["/a.png"] = ok(png())
    network = Network(resolve=lambda *_: ["127.0.0.77", "127.0.0.1"], is_public=lambda _: True)
    assert fetch_image(host.url("/a.png"), Location.field(PATH), LIMITS, network).content == png()


def test_an_unknown_name(network: Network) -> None:
    assert "not known" in refusal("http://nowhere.invalid/a.png", network)
    assert "not known" in refusal("http://empty.test/", replace(network, resolve=lambda *_: []))


def test_heic_is_refused_with_advice(host: ImageHost, network: Network) -> None:
    host.pages["/a.heic"] = ok(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")
    assert "JPEG or PNG" in refusal(host.url("/a.heic"), network)


def test_the_defaults_reach_the_public_internet_only(host: ImageHost) -> None:
    for name in ("localhost", "127.0.0.1", "localhost."):
        assert "not on the public internet" in refusal(host.url("/a.png", host=name), INTERNET)
    assert host.connections == 0
