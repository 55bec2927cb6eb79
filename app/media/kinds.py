"""What kind of image some bytes are, by how they begin; labels are never believed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.errors import UnsupportedValue

BEGINNINGS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"),
    **dict.fromkeys((b"mif1", b"msf1", b"heif"), "image/heif"),
}
# What phones make and models do not read. Decoding it here would put a large C library before strangers.
UNREAD = ("image/heic", "image/heif")
ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}
MAX_BRANDS = 32


def image_mime(content: bytes) -> str | None:
    """The media type of an image, None for what is none that we know."""
    for beginning, mime in BEGINNINGS:
        if content.startswith(beginning):
            return mime
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    found = {BRANDS[brand] for brand in _brands(content) if brand in BRANDS}
    # Every one of them may also call itself the general `mif1`.
    return next((mime for mime in ("image/avif", "image/heic", "image/heif") if mime in found), None)


def require_image(content: bytes, allowed: Sequence[str], path: str) -> str:
    """The true media type of the image at `path`. Raises UnsupportedValue if it is not an allowed one."""
    mime = image_mime(content)
    if mime is None:
        raise UnsupportedValue(f"`{path}` is not an image; send {_named(allowed)}.", param=path)
    if mime in UNREAD:
        raise UnsupportedValue(
            f"`{path}`: models do not read HEIC and HEIF images; send the picture as JPEG or PNG.", param=path
        )
    require_allowed(mime, allowed, path)
    return mime


def require_allowed(mime: str, allowed: Sequence[str], path: str) -> None:
    """Raises UnsupportedValue for a media type that the configuration does not accept."""
    if plain_mime(mime) not in map(plain_mime, allowed):
        raise UnsupportedValue(
            f"`{path}`: images of type {mime[:60]} are not accepted; send {_named(allowed)}.", param=path
        )


def readable(allowed: Sequence[str]) -> list[str]:
    """The allowed media types that are of any use."""
    return [mime for mime in map(plain_mime, allowed) if mime not in UNREAD]


def plain_mime(mime: str) -> str:
    lowered = mime.lower()
    return ALIASES.get(lowered, lowered)


def _named(allowed: Sequence[str]) -> str:
    return " or ".join(readable(allowed)) or "text only"


def _brands(content: bytes) -> Iterator[bytes]:
    """The brands of an ISO media file, its own first."""
    if content[4:8] != b"ftyp":
        return
    yield content[8:12]
    end = min(int.from_bytes(content[:4], "big"), 16 + 4 * MAX_BRANDS, len(content))
    for start in range(16, end - 3, 4):
        yield content[start : start + 4]
