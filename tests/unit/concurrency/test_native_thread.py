"""Blocking work goes to a native thread, in this process of threads and in patched ones."""

from __future__ import annotations

import threading

import pytest

from app.concurrency.native_thread import NativeThread
from tests.support.patched import patched


def test_unpatched_work_is_done_on_the_spot():
    native_thread = NativeThread()
    assert native_thread.call(lambda one, two: (one, two, threading.get_ident()), 1, two=2) == (
        1,
        2,
        threading.get_ident(),
    )
    native_thread.close()


def test_unpatched_work_is_done_one_at_a_time():
    native_thread, inside, most = NativeThread(), [], []

    def work() -> None:
        inside.append(1)
        most.append(len(inside))
        inside.pop()

    threads = [threading.Thread(target=native_thread.call, args=(work,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


def test_an_error_of_the_work_is_raised_where_it_was_asked_for():
    with pytest.raises(ZeroDivisionError):
        NativeThread().call(lambda: 1 / 0)
    assert (
        patched(
            """
            from app.concurrency.native_thread import NativeThread
            native_thread = NativeThread()
            try:
                native_thread.call(lambda: 1 / 0)
            except ZeroDivisionError as error:
                print(error)
            native_thread.close()
            """
        )
        == "division by zero\n"
    )


def test_patched_work_blocks_its_thread_and_nobody_else():
    shown = patched(
        """
        from gevent.monkey import get_original
        from app.concurrency.native_thread import NativeThread
        lock, thread_id = get_original("_thread", "allocate_lock")(), get_original("_thread", "get_ident")
        native_thread = NativeThread()
        lock.acquire()
        job = gevent.spawn(native_thread.call, lambda: (lock.acquire(), thread_id())[1])
        for _ in range(50):  # if the work blocked the event loop, nobody would release the lock
            gevent.sleep(0.001)
        print(not job.dead)
        lock.release()
        print(job.get() != thread_id())
        native_thread.close()
        """
    )
    assert shown == "True\nTrue\n"


def test_patched_work_is_done_in_the_order_it_was_asked_for():
    shown = patched(
        """
        import itertools
        from app.concurrency.native_thread import NativeThread
        native_thread, asked, done = NativeThread(), itertools.count(), []
        def ask():
            for _ in range(20):
                native_thread.call(done.append, next(asked))
        gevent.joinall([gevent.spawn(ask) for _ in range(50)], raise_error=True)
        print(len(done), done == sorted(done))
        """
    )
    assert shown == "1000 True\n"


def test_a_killed_caller_does_not_stop_the_work_nor_the_next_one():
    shown = patched(
        """
        from gevent.monkey import get_original
        from app.concurrency.native_thread import NativeThread
        native_thread, done = NativeThread(), []
        def work(number):
            get_original("time", "sleep")(0.1)
            done.append(number)
        first = gevent.spawn(native_thread.call, work, 1)
        gevent.sleep(0.02)
        first.kill()
        native_thread.call(work, 2)
        print(done)
        native_thread.close()
        native_thread.call(work, 3)
        print(done)
        """
    )
    assert shown == "[1, 2]\n[1, 2, 3]\n"


def test_it_keeps_to_one_native_thread_however_often_it_was_idle():
    shown = patched(
        """
        import os
        from gevent.monkey import get_original
        from app.concurrency.native_thread import NativeThread
        native_thread, names = NativeThread(), set()
        for _ in range(50):
            names.add(native_thread.call(get_original("_thread", "get_ident")))
            gevent.sleep(0.002)
        print(len(names), len(os.listdir("/proc/self/task")))
        native_thread.close()
        gevent.sleep(0.1)
        print(len(os.listdir("/proc/self/task")))
        """
    )
    assert shown == "1 2\n1\n"


def test_a_thread_is_gone_when_it_is_closed_however_slowly_it_ends():
    shown = patched(
        """
        import gevent.threadpool, os
        from gevent.monkey import get_original
        from app.concurrency.native_thread import NativeThread
        sleep, worker = get_original("time", "sleep"), gevent.threadpool._WorkerGreenlet
        end = worker.cleanup
        worker.cleanup = lambda *args: (end(*args), sleep(0.2))
        native_thread = NativeThread()
        for _ in range(2):
            thread_id = native_thread.call(get_original("_thread", "get_native_id"))
            print(str(thread_id) in os.listdir("/proc/self/task"))
            native_thread.close()
            print(str(thread_id) in os.listdir("/proc/self/task"))
        """
    )
    assert shown == "True\nFalse\n" * 2
