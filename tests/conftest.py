"""What holds for all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """A program that a shell starts in the background ignores SIGINT, and so do its children.

    Tests of Ctrl-C send that signal, to this process and to commands, which must not depend on who starts
    them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
