"""Work in the background: greenlets under gunicorn, threads in a process that is not patched by gevent."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import ParamSpec

import gevent
from gevent import monkey

P = ParamSpec("P")

logger = logging.getLogger("app.concurrency")


def is_patched() -> bool:
    """Whether this process runs greenlets in place of threads (gevent's monkey patching)."""
    return bool(monkey.is_module_patched("threading"))


def spawn(fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Run `fn` in the background. An exception it raises is logged: nobody waits for it."""
    if is_patched():
        gevent.spawn(_run_logged, fn, *args, **kwargs)
    else:
        threading.Thread(target=_run_logged, args=(fn, *args), kwargs=kwargs, daemon=True).start()


def call_later(seconds: float, fn: Callable[[], object]) -> Callable[[], None]:
    """Call `fn` in the background, `seconds` from now. Returns a function that cancels this."""
    if not is_patched():
        timer = threading.Timer(seconds, _run_logged, (fn,))
        timer.daemon = True
        timer.start()
        return timer.cancel
    has_begun = False

    def begin() -> None:
        nonlocal has_begun
        has_begun = True
        _run_logged(fn)

    def cancel() -> None:
        if not has_begun:  # `fn` itself may cancel, and must not be killed by it
            greenlet.kill(block=False)

    greenlet = gevent.spawn_later(seconds, begin)
    return cancel


def background_tasks() -> int:
    """How many pieces of background work are running now."""
    return len(_running)


_running: set[object] = set()


def _run_logged(fn: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    task = object()
    _running.add(task)
    try:
        fn(*args, **kwargs)
    except Exception:
        logger.exception("background work failed: %s", getattr(fn, "__qualname__", fn))
    finally:
        _running.discard(task)
