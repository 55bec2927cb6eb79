"""Work off the hub, in this process of threads and in patched ones."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
import threading

import pytest

from app.hub import OffHub, is_patched, spawn


def patched(program: str) -> str:
    """What a program prints in a process where greenlets take the place of threads."""
    start = "from gevent import monkey; monkey.patch_all()\nimport time, threading, gevent\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_this_process_is_not_patched():
    assert not is_patched()


def test_unpatched_work_is_done_on_the_spot():
    off_hub = OffHub()
    assert off_hub.call(lambda one, two: (one, two, threading.get_ident()), 1, two=2) == (
        1,
        2,
        threading.get_ident(),
    )
    off_hub.close()


def test_unpatched_work_is_done_one_at_a_time():
    off_hub, inside, most = OffHub(), [], []

    def work() -> None:
        inside.append(1)
        most.append(len(inside))
        inside.pop()

    threads = [threading.Thread(target=off_hub.call, args=(work,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_what_background_work_raises_is_logged(caplog):
    done = threading.Event()

    def work(word: str) -> None:
        done.set()
        raise ValueError(word)

    with caplog.at_level(logging.ERROR):
        spawn(work, "oh dear")
        assert done.wait(1)
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(1)
    assert "background work failed" in caplog.text
    assert "oh dear" in caplog.text


def test_an_error_of_the_work_is_raised_where_it_was_asked_for():
    with pytest.raises(ZeroDivisionError):
        OffHub().call(lambda: 1 / 0)
    assert (
        patched(
            """
            from app.hub import OffHub
            off_hub = OffHub()
            try:
                off_hub.call(lambda: 1 / 0)
            except ZeroDivisionError as error:
                print(error)
            off_hub.close()
            """
        )
        == "division by zero\n"
    )


def test_patched_work_blocks_its_thread_and_nobody_else():
    shown = patched(
        """
        from gevent.monkey import get_original
        from app.hub import OffHub
        block, thread_id = get_original("time", "sleep"), get_original("_thread", "get_ident")
        off_hub, worst, last = OffHub(), 0.0, time.monotonic()
        job = gevent.spawn(off_hub.call, lambda: (block(0.5), thread_id())[1])
        while not job.dead:
            gevent.sleep(0.001)
            now = time.monotonic()
            worst, last = max(worst, now - last), now
        print(worst < 0.1, job.value != thread_id())
        off_hub.close()
        """
    )
    assert shown == "True True\n"


def test_patched_work_is_done_in_the_order_it_was_asked_for():
    shown = patched(
        """
        import itertools
        from app.hub import OffHub
        off_hub, asked, done = OffHub(), itertools.count(), []
        def ask():
            for _ in range(20):
                off_hub.call(done.append, next(asked))
        gevent.joinall([gevent.spawn(ask) for _ in range(50)], raise_error=True)
        print(len(done), done == sorted(done))
        """
    )
    assert shown == "1000 True\n"


def test_a_killed_caller_does_not_stop_the_work_nor_the_next_one():
    shown = patched(
        """
        from gevent.monkey import get_original
        from app.hub import OffHub
        off_hub, done = OffHub(), []
        def work(number):
            get_original("time", "sleep")(0.1)
            done.append(number)
        first = gevent.spawn(off_hub.call, work, 1)
        gevent.sleep(0.02)
        first.kill()
        off_hub.call(work, 2)
        print(done)
        off_hub.close()
        off_hub.call(work, 3)
        print(done)
        """
    )
    assert shown == "[1, 2]\n[1, 2, 3]\n"


def test_patched_background_work_is_a_greenlet_and_its_error_is_logged():
    shown = patched(
        """
        import logging, sys
        from gevent.monkey import get_original
        from app.hub import spawn
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


BELLS = """
    from app.hub import new_bell
    bell = new_bell()
    bell.ring()
    print(bell.wait(5), bell.wait(None))  # it rings until it is silenced
    bell.silence()
    print(bell.wait(0.01))
    threading.Timer(0.02, bell.ring).start()
    print(bell.wait(None))
"""


def test_a_bell_in_a_process_of_greenlets():
    assert patched(BELLS).split() == ["True", "True", "False", "True"]


def test_a_bell_in_a_process_of_threads(capsys: pytest.CaptureFixture[str]):
    exec(textwrap.dedent(BELLS), {"threading": threading})
    assert capsys.readouterr().out.split() == ["True", "True", "False", "True"]


def test_a_bell_wakes_nobody_who_has_stopped_waiting():
    told = patched(
        """
        from app.hub import new_bell
        bell, seen = new_bell(), []

        def wait_then_pause():
            seen.append(bell.wait(0.02))
            started = time.monotonic()
            gevent.sleep(0.1)  # a stray wake-up would end it
            seen.append(time.monotonic() - started > 0.09)

        waiting = gevent.spawn(wait_then_pause)
        gevent.sleep(0.02)
        bell.ring()  # in the same turn of the loop as the timer, or just before or behind it
        bell.ring()
        waiting.join()

        killed = gevent.spawn(bell.wait, None)
        bell.silence()
        gevent.sleep(0)
        bell.ring()
        killed.kill()
        print(seen[1:], killed.dead)
        """
    )
    assert told.strip() == "[True] True"


def test_a_bell_waits_its_time_anew_after_each_ring():
    told = patched(
        """
        from app.hub import new_bell
        bell = new_bell()
        started = time.monotonic()
        for _ in range(10):
            gevent.spawn_later(0.03, bell.ring)
            assert bell.wait(0.2)
            bell.silence()
        print(bell.wait(0.2), 0.49 < time.monotonic() - started < 1.5)
        bell.close()
        gevent.sleep(0.3)  # no timer is left to go off
        print(bell._timer)
        """
    )
    assert told.split() == ["False", "True", "None"]


def test_it_keeps_to_one_native_thread_however_often_it_was_idle():
    shown = patched(
        """
        import os
        from gevent.monkey import get_original
        from app.hub import OffHub
        off_hub, names = OffHub(), set()
        for _ in range(50):
            names.add(off_hub.call(get_original("_thread", "get_ident")))
            gevent.sleep(0.002)
        print(len(names), len(os.listdir("/proc/self/task")))
        off_hub.close()
        gevent.sleep(0.1)
        print(len(os.listdir("/proc/self/task")))
        """
    )
    assert shown == "1 2\n1\n"
