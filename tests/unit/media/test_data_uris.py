"""Images sent as data URIs: which are accepted, and how large they may be."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.config.settings import ChatCompletionsSettings, ImageSettings
from app.errors import GatewayError, InvalidRequest, UnsupportedValue
from app.media.images import ImageBudget, load_image_url
from app.media.location import Location
from app.messages import ImagePart

PNG = b"\x89PNG\r\n\x1a\n"
CONTENT = {
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/png": PNG,
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\x00\x00\x00\x00WEBP",
}
LIMITS = ChatCompletionsSettings(max_total_image_bytes=40, images=ImageSettings(max_bytes=20))


def uri(content: bytes = PNG, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def sized(size: int) -> str:
    return uri(PNG.ljust(size, b"x"))


def load(raw: Any, budget: ImageBudget | None = None) -> ImagePart:
    return load_image_url(raw, Location.field("the.place"), budget or ImageBudget(LIMITS))


def refusal(raw: Any, budget: ImageBudget | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        load(raw, budget)
    assert caught.value.param == "the.place"
    return caught.value


@pytest.mark.parametrize("mime", CONTENT)
def test_the_allowed_types(mime: str):
    url = uri(CONTENT[mime], mime)
    assert load({"url": url}) == ImagePart(mime, url.partition(",")[2])
    assert load(url) == load({"url": url, "detail": "high"}) == load({"url": url})


@pytest.mark.parametrize(
    "raw",
    [
        uri(mime="IMAGE/PNG"),
        uri(mime="image/png;name=a.png"),
        uri(mime="image/png;charset=utf-8;x=y"),
        uri().replace("base64", "BASE64").replace("data", "Data"),
        f"  {uri()}\n",
    ],
)
def test_spellings_of_a_data_uri(raw: str):
    assert load(raw) == ImagePart("image/png", "iVBORw0KGgo=")


def test_a_common_wrong_name_of_a_type():
    assert load(uri(CONTENT["image/jpeg"], "image/jpg")).mime == "image/jpeg"


@pytest.mark.parametrize(
    "mime", ["image/svg+xml", "image/bmp", "text/html", "application/pdf", "image/x-png"]
)
def test_other_types_are_refused_naming_the_allowed_ones(mime: str):
    error = refusal(uri(mime=mime))
    assert type(error) is UnsupportedValue
    assert "image/png" in error.message


@pytest.mark.parametrize("url", ["http://example.org/a.png", "https://example.org/a", "HTTPS://EXAMPLE.ORG"])
def test_urls_are_refused_where_they_are_not_allowed(url: str):
    assert type(refusal({"url": url})) is UnsupportedValue


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "",
        "  ",
        5,
        [],
        {},
        {"url": None},
        {"url": 5},
        {"url": ""},
        "file:///etc/passwd",
        "ftp://example.org/a.png",
        "javascript:alert(1)",
        "iVBORw0KGgo=",
        "data:,hello",
        "data:image/png,iVBORw0KGgo=",
        "data:image/png;base64",
        "data:;base64,iVBORw0KGgo=",
        "data:png;base64,iVBORw0KGgo=",
        "data:image/png;base64,",
        "data:image/png;base64,====",
        "data:image/png;base64,iVBORw0KGgo",
        "data:image/png;base64,iVBOR w0KGgo=",
        "data:image/png;base64,iVBOR\nw0KGgo=",
        "data:image/png;base64,iVBORw0KGgo=x",
        "data:image/png;base64,iVBORw0K_-8=",
        "data:image/png;base64,äöüß",
    ],
)
def test_anything_else_is_refused(raw: Any):
    assert isinstance(refusal(raw), InvalidRequest)


@pytest.mark.parametrize(("size", "fits"), [(18, True), (19, True), (20, True), (21, False), (22, False)])
def test_an_image_may_be_as_large_as_its_limit_to_the_byte(size: int, fits: bool):
    if fits:
        load(sized(size))
    else:
        assert "at most" in refusal(sized(size)).message


def test_the_images_of_a_request_may_be_as_large_together_as_their_limit():
    budget = ImageBudget(LIMITS)
    load(sized(20), budget)
    load(sized(20), budget)
    assert "together" in refusal(uri(), budget).message


def test_messages_never_quote_the_image():
    assert len(refusal("data:" + "x" * 100_000).message) < 300
    assert len(refusal(f"data:image/{'x' * 100_000};base64,eHh4").message) < 300
