"""What holds for all tests."""

from __future__ import annotations

import signal
from typing import Any


def pytest_configure() -> None:
    """A program that a shell starts in the background ignores SIGINT, and so do its children.

    Tests of Ctrl-C send that signal, to this process and to commands, which must not depend on who starts
    them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: Any, argname: str) -> str | None:
    """Bytes that are no text go by the name of their parameter. What is compressed has the time in it, and
    processes that share the tests among them have to call each by the same name.
    """
    return argname if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()) else None
