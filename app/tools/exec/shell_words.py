"""Reads a command as a shell would, if nothing in it needs a shell to be understood. Pure.

It decides what may run unasked, so it errs on one side alone: a command in which anything is expanded,
redirected, substituted, put into the background or otherwise left to the shell is None, "not simple", and so
is whatever this file does not know. What it returns is what `sh` and `bash` would run, word for word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_COMMAND = 16_384  # characters; a longer command is not read

Words = tuple[str, ...]

# Outside quotes, these stand for themselves in every shell. All else has a meaning somewhere.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./=-]+", re.ASCII)
_SINGLE = re.compile(r"'([^']*)'")
# Between double quotes, `$`, backquotes, backslashes and `!` (history) mean something.
_DOUBLE = re.compile(r'"([^"$`\\!]*)"')
_BLANKS = re.compile(r"[ \t]+")
_JOINER = re.compile(r"[ \t]*(?:&&|\|\||\||;|\n)[ \t\n]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Words that are not programs where a command begins: grammar, and what the shell does itself, to itself.
RESERVED = frozenset(
    """
    ! [[ ]] { } case coproc do done elif else esac fi for function if in select then time until while
    . : [ alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown
    enable eval exec exit export fc fg getopts hash help history jobs kill let local logout mapfile popd
    printf pushd read readarray readonly return set shift shopt source suspend test times trap type typeset
    ulimit umask unalias unset wait
    """.split()  # noqa: SIM905 - a list of so many quoted words is harder to read
)


def read_command(text: str) -> tuple[Words, ...] | None:
    """The programs of a command with their arguments, in order; None unless it is simple.

    More than one if they are joined by a pipe, `&&`, `||`, `;` or a line's end.
    """
    text = text.strip(" \t\n")
    if not text or len(text) > MAX_COMMAND or _CONTROL.search(text):
        return None
    segments: list[Words] = []
    place = 0
    while True:
        words, place = _read_words(text, place)
        if not words or not is_program(words[0]):
            return None
        segments.append(words)
        if place == len(text):
            return tuple(segments)
        joiner = _JOINER.match(text, place)
        if joiner is None:
            return None
        place = joiner.end()
        if place == len(text):
            # Only `;` may be last; after the others a shell expects one more command.
            return tuple(segments) if joiner[0].strip() == ";" else None


def is_program(word: str) -> bool:
    """Whether a shell looks for a program of that name, and does nothing else at that word."""
    return bool(word) and "=" not in word and word[0] not in "%-" and word not in RESERVED


def _read_words(text: str, place: int) -> tuple[Words, int]:
    """The words from `place` on, and where they end: at the end, or at the first thing that is no word."""
    words: list[str] = []
    while True:
        word, after = _read_word(text, place)
        if after == place:
            return tuple(words), place
        words.append(word)
        place = after
        if blanks := _BLANKS.match(text, place):
            after_blanks = blanks.end()
            if _read_word(text, after_blanks)[1] == after_blanks:
                return tuple(words), place
            place = after_blanks
        else:
            return tuple(words), place


def _read_word(text: str, place: int) -> tuple[str, int]:
    pieces: list[str] = []
    for piece, after in _pieces(text, place):
        pieces.append(piece)
        place = after
    return "".join(pieces), place


def _pieces(text: str, place: int) -> Iterator[tuple[str, int]]:
    """The quoted and unquoted pieces that make one word."""
    while True:
        for pattern in (_PLAIN, _SINGLE, _DOUBLE):
            if found := pattern.match(text, place):
                place = found.end()
                yield found[found.lastindex or 0], place
                break
        else:
            return
