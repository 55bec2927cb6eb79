"""A process's memory: who may read it, and how often it is searched for garbage."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

PR_SET_DUMPABLE = 4
GARBAGE_HEAP = 20_000  # objects; the interpreter's own is 700


def hide_memory() -> None:
    """Keep other processes of our user, the commands of agents among them, from reading our environment and
    memory in /proc, also in all processes that we fork (prctl(2), PR_SET_DUMPABLE). Root can read them still.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def collect_garbage_less() -> None:
    """Exclude what is loaded from garbage collection, and collect what requests leave in larger batches.

    A long conversation is thousands of new objects, which would start a collection of all objects each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_HEAP, 20, 20)
