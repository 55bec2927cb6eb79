from __future__ import annotations

import pytest

from app.config.settings import ImageSettings
from app.errors import UnsupportedValue
from app.media.kinds import image_mime, require_allowed, require_image
from app.media.location import Location
from tests.unit.media.image_host import png

X = Location.field("x")
ALLOWED = ImageSettings().allowed_mimes
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L"
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"
MIF1_HEIC = b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic"
HEIF = b"\x00\x00\x00\x10ftypmif1\x00\x00\x00\x00"
AVIF = b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00mif1avifmiaf"

KINDS = {
    JPEG: "image/jpeg", png(): "image/png", b"GIF89a\x01": "image/gif", b"GIF87a": "image/gif",
    WEBP: "image/webp", HEIC: "image/heic", MIF1_HEIC: "image/heic", HEIF: "image/heif", AVIF: "image/avif",
    b"BM\x00": "image/bmp", b"II*\x00": "image/tiff", b"MM\x00*": "image/tiff",
    b"": None, b"\xff": None, b"\x89PNG": None, b"RIFF\x00\x00\x00\x00WAVE": None, b"<svg/>": None,
    b"%PDF-1.7": None, b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00mp41": None, b"<html>": None,
    b"\xff\xff\xff\xffftypxxxx\x00\x00\x00\x00" + b"isom" * 1000 + b"heic": None,
    b"\x00\x00\x00\x18ftyp": None,
}  # fmt: skip


@pytest.mark.parametrize(("content", "mime"), KINDS.items())
def test_the_type_is_known_by_the_first_bytes(content: bytes, mime: str | None) -> None:
    assert image_mime(content) == mime


@pytest.mark.parametrize("content", [HEIC, HEIF, MIF1_HEIC])
def test_heic_is_refused_with_advice(content: bytes) -> None:
    with pytest.raises(UnsupportedValue, match="send the picture as JPEG or PNG") as caught:
        require_image(content, ALLOWED, Location.field("messages[0]"))
    assert caught.value.param == "messages[0]"


def test_a_refusal_lists_the_types_that_models_read() -> None:
    with pytest.raises(UnsupportedValue) as caught:
        require_image(b"hello", ALLOWED, X)
    assert caught.value.message == (
        "`x`: this is not an image; send image/jpeg or image/png or image/gif or image/webp."
    )


def test_only_allowed_types_are_accepted() -> None:
    assert require_image(AVIF, ("image/avif",), X) == "image/avif"
    with pytest.raises(UnsupportedValue, match="image/avif"):
        require_image(AVIF, ALLOWED, X)
    with pytest.raises(UnsupportedValue, match="image/png"):
        require_image(png(), ("image/jpeg",), X)


def test_jpg_is_another_name_of_jpeg() -> None:
    require_allowed("image/JPG", ALLOWED, X)
    assert require_image(JPEG, ("image/jpg",), X) == "image/jpeg"
