"""Programs that may run on their input alone, without an entry on the allowlist. Pure.

A safe program reads its standard input and no file, and writes its standard output: `head -c 3`, not
`head notes.txt`. So of the arguments only those pass that are known to name no file; for a program that is
not in the table these are switches of one letter or one word, without values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from app.tools.exec.programs import Program

# They run or write whatever their input or arguments say; no setting makes them safe.
NEVER_SAFE = re.compile(
    r"(?:python|pypy|perl|ruby|node|deno|bun|php|lua|tclsh|Rscript|julia)[\d.]*|(?:ba|da|z|k|c|tc|fi|a)?sh|"
    r"[gmn]?awk|[gs]?sed|ed|ex|vim?|xargs|env|sudo|doas|su|nice|nohup|timeout|parallel|make|find|dd|tee",
)
_SWITCH = re.compile(r"-[A-Za-z0-9]|--[a-z][a-z0-9-]*")


class Profile(msgspec.Struct, frozen=True):
    """`switches` and the letters and words of options that take a value; `max_operands` that are no files."""

    switches: str = ""
    long_switches: frozenset[str] = frozenset()
    valued: str = ""
    long_valued: frozenset[str] = frozenset()
    max_operands: int = 0
    has_number: bool = False  # `-5` for `-n 5`


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PROFILES = {
    "cut": Profile(
        "nsz",
        _names("--only-delimited --complement --zero-terminated"),
        "bcdf",
        _names("--bytes --characters --delimiter --fields --output-delimiter"),
    ),
    "head": Profile(
        "qvz",
        _names("--quiet --silent --verbose --zero-terminated"),
        "cn",
        _names("--bytes --lines"),
        has_number=True,
    ),
    "tail": Profile(
        "qvz",
        _names("--quiet --silent --verbose --zero-terminated"),
        "cn",
        _names("--bytes --lines"),
        has_number=True,
    ),
    "tr": Profile("cCdst", _names("--complement --delete --squeeze-repeats --truncate-set1"), max_operands=2),
    "uniq": Profile(
        "cdDiuz",
        _names("--count --repeated --all-repeated --ignore-case --unique --zero-terminated"),
        "fsw",
        _names("--skip-fields --skip-chars --check-chars"),
    ),
    "wc": Profile("cmlLw", _names("--bytes --chars --lines --max-line-length --words")),
}


def is_safe(
    words: Sequence[str], program: Program, safe_bins: Sequence[str], trusted_folders: Sequence[str]
) -> bool:
    """Whether the command `words`, whose first one means `program`, is one of the `safe_bins` in one of the
    `trusted_folders`, and names no file.
    """
    name = program.path.name
    if name not in safe_bins or any(NEVER_SAFE.fullmatch(one) for one in (name, program.real_path.name)):
        return False
    if not any(_is_folder(program, Path(folder)) for folder in trusted_folders):
        return False
    if name in PROFILES:
        return _fits(words[1:], PROFILES[name])
    return all(_SWITCH.fullmatch(word) for word in words[1:])


def _is_folder(program: Program, folder: Path) -> bool:
    """Whether the program lies in that very folder; `/bin` is a link to `/usr/bin` on most machines."""
    return folder.is_absolute() and program.folder in (folder, folder.resolve())


def _fits(arguments: Sequence[str], profile: Profile) -> bool:
    operands = 0
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word.startswith("--"):
            name, equals, _ = word.partition("=")
            if name in profile.long_valued:
                if not equals and (not left or not left.pop(0)):
                    return False
            elif equals or name not in profile.long_switches:
                return False
        elif len(word) > 1 and word.startswith("-"):
            if not _fits_letters(word[1:], left, profile):
                return False
        else:
            operands += 1
    return operands <= profile.max_operands


def _fits_letters(letters: str, left: list[str], profile: Profile) -> bool:
    """Whether the letters of `-abc` are options; a value that does not follow in the word is taken from
    `left`.
    """
    if profile.has_number and letters.isdecimal() and letters.isascii():
        return True
    for place, letter in enumerate(letters):
        if letter in profile.valued:
            return bool(letters[place + 1 :]) or bool(left and left.pop(0))
        if letter not in profile.switches:
            return False
    return True
