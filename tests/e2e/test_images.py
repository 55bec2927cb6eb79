"""Images through a real gateway: those that reach the provider, and those that are refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import StartGateway
from tests.support.gateway import Answer, GatewayProcess, config_for
from tests.support.provider import ScriptedProvider, says
from tests.unit.media.image_host import ImageHost, ok, png

MiB = 1024 * 1024
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"


def uri(content: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def sized(size: int) -> str:
    return uri(png().ljust(size, b"x"))


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def show(gateway: GatewayProcess, *urls: str, **more: Any) -> Answer:
    """A turn of images alone."""
    message = {"role": "user", "content": [image(url) for url in urls]}
    return gateway.chat({"model": "openclaw", "messages": [message], **more})


def assert_refused(answer: Answer, reason: str) -> None:
    assert answer.status == 400, answer.body
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["param"].startswith("messages[0].content")
    assert reason in answer.error["message"]


def images_config(provider: ScriptedProvider, **endpoint: Any) -> dict[str, Any]:
    return config_for(provider.url, http={"endpoints": {"chatCompletions": {"enabled": True, **endpoint}}})


@pytest.fixture
def images_host() -> Iterator[ImageHost]:
    with ImageHost() as host:
        host.pages["/a.png"] = ok(png())
        yield host


@pytest.mark.parametrize("stream", [False, True])
def test_a_message_of_an_image_alone(
    gateway: GatewayProcess, provider: ScriptedProvider, stream: bool
) -> None:
    assert show(gateway, uri(png()), stream=stream).status == 200
    assert provider.requests[-1]["messages"][-1] == {"role": "user", "content": [image(uri(png()))]}


def test_text_and_images_keep_their_order(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    content = [
        {"type": "text", "text": "Which one?"},
        image(uri(png())),
        {"type": "text", "text": "Or this?"},
        image(uri(png(100))),
    ]
    body = {"model": "openclaw", "messages": [{"role": "user", "content": content}]}
    assert gateway.chat(body).status == 200
    assert provider.requests[-1]["messages"][-1]["content"] == content


def test_the_largest_image_arrives_byte_for_byte(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    provider.always(says("A large one."))
    url = sized(10 * MiB)
    assert show(gateway, url).status == 200
    assert provider.requests[-1]["messages"][-1]["content"] == [image(url)]


def test_a_mislabelled_image_gets_its_real_type(gateway: GatewayProcess, provider: ScriptedProvider) -> None:
    assert show(gateway, uri(png(), "image/jpeg")).status == 200
    assert provider.requests[-1]["messages"][-1]["content"] == [image(uri(png()))]


REFUSED = {
    "nine images": ([uri(png())] * 9, "at most 8 images"),
    "one too large": ([sized(10 * MiB + 1)], "at most 10 MiB"),
    "no image": ([uri(b"hello")], "is not an image"),
    "HEIC": ([uri(HEIC, "image/heic")], "JPEG or PNG"),
    "SVG": ([uri(b"<svg/>", "image/svg+xml")], "not accepted"),
    "by URL": (["https://example.com/a.png"], "images.allowUrl"),
    "a file": (["file:///etc/passwd"], "data URI"),
    "FTP": (["ftp://example.com/a.png"], "data URI"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_unfit_image_is_refused(gateway: GatewayProcess, provider: ScriptedProvider, what: str) -> None:
    urls, reason = REFUSED[what]
    assert_refused(show(gateway, *urls), reason)
    assert provider.requests == []


def test_the_limit_on_all_images_together(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    gateway = start_gateway(images_config(provider, maxBodyBytes=64 * MiB))
    assert_refused(show(gateway, sized(10 * MiB), sized(10 * MiB), sized(100)), "20 MiB together")
    assert provider.requests == []
    provider.always(says("Two large ones."))
    assert show(gateway, sized(10 * MiB), sized(10 * MiB)).status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit(gateway: GatewayProcess, provider: ScriptedProvider, chunked: bool) -> None:
    message = {"role": "user", "content": [image(sized(10 * MiB)), image(sized(6 * MiB))]}
    body = json.dumps({"model": "openclaw", "messages": [message]}).encode()
    answer = gateway.chat(iter([body[:MiB], body[MiB:]]) if chunked else body)  # type: ignore[arg-type]
    assert answer.status == 413
    assert answer.error["code"] == "body_too_large"
    assert provider.requests == []


INWARD = ["http://127.0.0.1:{port}/a.png", "http://localhost:{port}/a.png", "http://localhost.:{port}/a.png",
          "http://[::1]:{port}/a.png", "http://[::ffff:127.0.0.1]:{port}/a.png", "http://0.0.0.0:{port}/a.png",
          "http://127.1:{port}/a.png", "http://2130706433:{port}/a.png", "http://0x7f000001:{port}/a.png",
          "http://user:pass@127.0.0.1:{port}/a.png", "http://example.com:{port}@127.0.0.1:{port}/a.png",
          "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/a.png", "http://192.168.0.1/a.png",
          "http://100.100.100.200/a.png", "http://[fd00:ec2::254]/", "https://localhost/a.png"]  # fmt: skip


def test_no_url_reaches_the_local_network(
    start_gateway: StartGateway, provider: ScriptedProvider, images_host: ImageHost
) -> None:
    gateway = start_gateway(images_config(provider, images={"allowUrl": True, "timeoutMs": 5000}))
    for url in INWARD:
        answer = show(gateway, url.format(port=images_host.port))
        assert_refused(answer, "cannot be fetched")
        assert "127.0.0.1" not in answer.error["message"], url
    for url in ("file:///etc/passwd", "ftp://example.com/a.png"):
        assert_refused(show(gateway, url), "data URI")
    assert images_host.connections == 0
    assert provider.requests == []


def test_a_host_that_is_not_on_the_allowlist(start_gateway: StartGateway, provider: ScriptedProvider) -> None:
    images = {"allowUrl": True, "urlAllowlist": ["images.example.com", "localhost"]}
    gateway = start_gateway(images_config(provider, images=images))
    assert_refused(show(gateway, "https://example.com/a.png"), "urlAllowlist")
    assert_refused(show(gateway, "http://localhost:8080/a.png"), "not on the public internet")
    assert provider.requests == []
