"""The media type of an image, from its first bytes; labels are never believed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.errors import UnsupportedValue
from app.media.location import Location

MAGIC_BYTES = (
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
# Phones make these and models cannot read them. To decode them here, a large C library would have to be given
# files of unknown origin.
UNREADABLE = ("image/heic", "image/heif")
ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}
MAX_BRANDS = 32


def image_mime(content: bytes) -> str | None:
    """The media type of an image, None for bytes that are not a known type of image."""
    for magic, mime in MAGIC_BYTES:
        if content.startswith(magic):
            return mime
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    found = {BRANDS[brand] for brand in _brands(content) if brand in BRANDS}
    # AVIF and HEIC files may list the general brand `mif1` too, so it decides last.
    return next((mime for mime in ("image/avif", "image/heic", "image/heif") if mime in found), None)


def require_image(content: bytes, allowed: Sequence[str], where: Location) -> str:
    """The real media type of an image's bytes. Raises UnsupportedValue if it is not an allowed one."""
    mime = image_mime(content)
    if mime is None:
        raise where.error(f"this is not an image; send {_named(allowed)}", UnsupportedValue)
    if mime in UNREADABLE:
        raise where.error(
            "models do not read HEIC and HEIF images; send the picture as JPEG or PNG", UnsupportedValue
        )
    require_allowed(mime, allowed, where)
    return mime


def require_allowed(mime: str, allowed: Sequence[str], where: Location) -> None:
    """Raises UnsupportedValue for a media type that the configuration does not accept."""
    if plain_mime(mime) not in map(plain_mime, allowed):
        raise where.error(
            f"images of type {mime[:60]} are not accepted; send {_named(allowed)}", UnsupportedValue
        )


def readable(allowed: Sequence[str]) -> list[str]:
    """The allowed media types that models can read."""
    return [mime for mime in map(plain_mime, allowed) if mime not in UNREADABLE]


def plain_mime(mime: str) -> str:
    """The media type in lower case and under its registered name."""
    lowered = mime.lower()
    return ALIASES.get(lowered, lowered)


def _named(allowed: Sequence[str]) -> str:
    return " or ".join(readable(allowed)) or "text only"


def _brands(content: bytes) -> Iterator[bytes]:
    """The brands in the `ftyp` box of an ISO media file (ISO/IEC 14496-12), the major one first."""
    if content[4:8] != b"ftyp":
        return
    yield content[8:12]
    end = min(int.from_bytes(content[:4], "big"), 16 + 4 * MAX_BRANDS, len(content))
    for start in range(16, end - 3, 4):
        yield content[start : start + 4]
