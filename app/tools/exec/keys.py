"""Names of keys as what a terminal sends for them: `C-c`, `Enter`, `Up`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.tools.base import ToolError

_ESCAPE = "\x1b"
_NAMED = {
    "enter": "\r",
    "return": "\r",
    "tab": "\t",
    "escape": _ESCAPE,
    "esc": _ESCAPE,
    "space": " ",
    "bspace": "\x7f",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "btab": "\x1b[Z",
    "insert": "\x1b[2~",
    "ic": "\x1b[2~",
    "delete": "\x1b[3~",
    "dc": "\x1b[3~",
    "pageup": "\x1b[5~",
    "ppage": "\x1b[5~",
    "pgup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "npage": "\x1b[6~",
    "pgdn": "\x1b[6~",
    **{f"f{number}": f"\x1bO{letter}" for number, letter in enumerate("PQRS", 1)},
    **{f"f{number}": f"\x1b[{code}~" for number, code in enumerate((15, 17, 18, 19, 20, 21, 23, 24), 5)},
}


def encode_keys(keys: Sequence[str]) -> bytes:
    """What the keys send. Raises ToolError for a name that is not known."""
    return "".join(_encode(key) for key in keys).encode()


def decode_hex(words: Sequence[str]) -> bytes:
    """Bytes written as hexadecimal digits: `1b`, `0x03`. Raises ToolError."""
    try:
        return b"".join(bytes.fromhex(word.removeprefix("0x").removeprefix("0X")) for word in words)
    except ValueError:
        raise ToolError("hex: write each byte as two hexadecimal digits, such as 1b.") from None


def _encode(key: str) -> str:
    if len(key) == 1:
        return key
    if (named := _NAMED.get(key.lower())) is not None:
        return named
    modifier, _, rest = key.partition("-")
    if modifier.lower() in ("m", "alt", "meta") and rest:
        return _ESCAPE + _encode(rest)
    if modifier.lower() in ("c", "ctrl", "^") and len(rest) == 1 and "@" <= rest.upper() <= "_":
        return chr(ord(rest.upper()) & 0x1F)
    if key.startswith("^") and len(key) == 2 and "@" <= key[1].upper() <= "_":
        return chr(ord(key[1].upper()) & 0x1F)
    raise ToolError(
        f"Unknown key {key[:40]!r}. Examples: Enter, C-c, Up, Tab, Escape, M-x, F1, or one letter."
    )
