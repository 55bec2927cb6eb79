"""Images by URL, and what is checked before any image is fetched or decoded."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.config.settings import ChatCompletionsSettings, ImageSettings
from app.errors import GatewayError, InvalidRequest, UnsupportedValue
from app.http.chat_completions.messages import check_image_count, load_conversation
from app.media.fetch import Network
from app.media.images import MAX_FETCHES, ImageBudget, load_image_url
from app.media.location import Location
from app.messages import ImagePart
from tests.unit.media.image_host import ImageHost, ok, png

FETCHING = ChatCompletionsSettings(images=ImageSettings(allow_url=True, timeout_seconds=5))
NETWORK = Network(resolve=lambda *_: ["127.0.0.1"], is_public=lambda _: True)
X = Location.field("x")
PNG = base64.b64encode(png()).decode()


@pytest.fixture
def host() -> Iterator[ImageHost]:
    with ImageHost() as host:
        host.pages["/a.png"] = ok(png(), "Content-Type: image/jpeg")
        yield host


def refusal(raw: Any, budget: ImageBudget, network: Network = NETWORK) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        load_image_url(raw, Location.field("the.place"), budget, network)
    assert caught.value.param == "the.place"
    return caught.value


@pytest.mark.parametrize("wrap", [lambda url: url, lambda url: {"url": url, "detail": "low"}])
def test_an_image_by_url_becomes_a_data_uri_of_its_real_type(host: ImageHost, wrap: Any) -> None:
    raw = wrap(f"  {host.url('/a.png')}\n")
    assert load_image_url(raw, X, ImageBudget(FETCHING), NETWORK) == ImagePart("image/png", PNG)


def test_without_the_setting_nothing_is_fetched(host: ImageHost) -> None:
    error = refusal(host.url("/a.png"), ImageBudget(ChatCompletionsSettings()))
    assert type(error) is UnsupportedValue
    assert "gateway.http.endpoints.chatCompletions.images.allowUrl" in error.message
    assert host.connections == 0


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a.png", "http:example.org/a"])
def test_other_schemes_are_refused_though_urls_are_allowed(url: str) -> None:
    assert isinstance(refusal(url, ImageBudget(FETCHING)), InvalidRequest)


def test_fetched_images_count_like_sent_ones(host: ImageHost) -> None:
    size = len(png())
    budget = ImageBudget(replace(FETCHING, max_total_image_bytes=2 * size))
    load_image_url(host.url("/a.png"), X, budget, NETWORK)
    load_image_url(f"data:image/png;base64,{PNG}", X, budget, NETWORK)
    assert "together" in refusal(host.url("/a.png"), budget).message


def test_the_same_url_is_fetched_once_in_a_request(host: ImageHost) -> None:
    budget = ImageBudget(FETCHING)
    parts = {load_image_url(host.url("/a.png"), X, budget, NETWORK) for _ in range(3)}
    assert len(parts) == 1
    assert host.connections == 1


def test_the_number_of_urls_is_limited(host: ImageHost) -> None:
    budget = ImageBudget(FETCHING)
    for number in range(MAX_FETCHES):
        host.pages[f"/a.png?{number}"] = ok(png())
        load_image_url(host.url(f"/a.png?{number}"), X, budget, NETWORK)
    assert "at most 32 images by URL" in refusal(host.url("/a.png"), budget).message
    assert host.connections == MAX_FETCHES


def test_the_local_network_is_out_of_reach(host: ImageHost) -> None:
    error = refusal(host.url("/a.png", host="localhost"), ImageBudget(FETCHING), Network())
    assert "not on the public internet" in error.message
    assert "127.0.0.1" not in error.message
    assert host.connections == 0


@pytest.mark.parametrize("label", ["image/jpeg", "image/heic", "IMAGE/JPG"])
def test_a_wrong_label_is_corrected(label: str) -> None:
    image = load_image_url(f"data:{label};base64,{PNG}", X, ImageBudget(ChatCompletionsSettings()))
    assert image == ImagePart("image/png", PNG)


@pytest.mark.parametrize("content", [b"hello", b"<svg/>", b"%PDF-1.7", b"\0" * 64])
def test_other_content_is_refused(content: bytes) -> None:
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    assert "is not an image" in refusal(url, ImageBudget(ChatCompletionsSettings())).message


def test_a_type_hidden_behind_an_allowed_label_is_refused() -> None:
    limits = ChatCompletionsSettings(images=ImageSettings(allowed_mimes=("image/jpeg",)))
    error = refusal(f"data:image/jpeg;base64,{PNG}", ImageBudget(limits))
    assert type(error) is UnsupportedValue
    assert "image/png" in error.message


def test_heic_is_refused_with_advice() -> None:
    heic = base64.b64encode(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic").decode()
    error = refusal(f"data:image/heic;base64,{heic}", ImageBudget(ChatCompletionsSettings()))
    assert error.message == (
        "`the.place`: models do not read HEIC and HEIF images; send the picture as JPEG or PNG."
    )


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def image(url: str = f"data:image/png;base64,{PNG}") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_only_the_newest_user_message_is_counted() -> None:
    eight, none = (
        ImageBudget(ChatCompletionsSettings()),
        ImageBudget(ChatCompletionsSettings(max_image_parts=0)),
    )
    check_image_count(
        [user(*[image()] * 9), user(*[image()] * 8), {"role": "assistant", "content": "x"}], eight
    )
    check_image_count([user(*[image()] * 9), {"role": "user", "content": "x"}], eight)
    check_image_count(["nonsense", {"role": "user"}, None], none)
    with pytest.raises(InvalidRequest) as caught:
        check_image_count([user(*[image()] * 9), {"role": "assistant", "content": "x"}], eight)
    assert caught.value.param == "messages[0].content"


def test_too_many_images_are_refused_before_any_is_fetched(host: ImageHost) -> None:
    message = user(*[image(host.url("/a.png", host="127.0.0.1"))] * 9)
    with pytest.raises(InvalidRequest, match="at most 8 images"):
        load_conversation([message], FETCHING)
    assert host.connections == 0
