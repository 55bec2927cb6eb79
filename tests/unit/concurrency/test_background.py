"""Background work runs as a greenlet or a thread, and its errors are logged."""

from __future__ import annotations

import logging
import threading

from app.concurrency.background import is_patched, spawn
from tests.support.patched import patched


def test_this_process_is_not_patched():
    assert not is_patched()


def test_what_background_work_raises_is_logged(caplog):
    done = threading.Event()

    def work(word: str) -> None:
        done.set()
        raise ValueError(word)

    with caplog.at_level(logging.ERROR):
        spawn(work, "oh dear")
        assert done.wait(30)
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(30)
    assert "background work failed" in caplog.text
    assert "oh dear" in caplog.text


def test_patched_background_work_is_a_greenlet_and_its_error_is_logged():
    shown = patched(
        """
        import logging, sys
        from gevent.monkey import get_original
        from app.concurrency.background import spawn
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        thread_id = get_original("_thread", "get_ident")
        def work(where):
            print(thread_id() == where, flush=True)
            raise ValueError("oh dear")
        spawn(work, thread_id())
        gevent.sleep(0.01)
        """
    )
    assert shown.startswith("True\nbackground work failed: work\n")
    assert shown.endswith("ValueError: oh dear\n")
