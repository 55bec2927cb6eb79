"""A signal wakes its one waiter, whether greenlets or threads wait."""

from __future__ import annotations

import textwrap
import threading

import pytest

from tests.support.patched import patched

SIGNALS = """
    from app.concurrency.signal import new_signal
    signal = new_signal()
    signal.set()
    print(signal.wait(30), signal.wait(None))  # it stays set until it is cleared
    signal.clear()
    print(signal.wait(0.01))
    threading.Timer(0.02, signal.set).start()
    print(signal.wait(None))
"""


def test_a_signal_in_a_process_of_greenlets():
    assert patched(SIGNALS).split() == ["True", "True", "False", "True"]


def test_a_signal_in_a_process_of_threads(capsys: pytest.CaptureFixture[str]):
    exec(textwrap.dedent(SIGNALS), {"threading": threading})
    assert capsys.readouterr().out.split() == ["True", "True", "False", "True"]


def test_a_signal_wakes_nobody_who_has_stopped_waiting():
    output = patched(
        """
        from app.concurrency.signal import new_signal
        signal, seen = new_signal(), []

        def wait_then_pause():
            seen.append(signal.wait(0.02))
            started = time.monotonic()
            gevent.sleep(0.1)  # a stray wake-up would end it
            seen.append(time.monotonic() - started > 0.09)

        waiting = gevent.spawn(wait_then_pause)
        gevent.sleep(0.02)
        signal.set()  # in the same turn of the loop as the timer, or just before or behind it
        signal.set()
        waiting.join()

        killed = gevent.spawn(signal.wait, None)
        signal.clear()
        gevent.sleep(0)
        signal.set()
        killed.kill()
        print(seen[1:], killed.dead)
        """
    )
    assert output.strip() == "[True] True"


def test_a_signal_waits_its_whole_time_again_after_it_was_set():
    output = patched(
        """
        from app.concurrency.signal import new_signal
        signal = new_signal()
        for _ in range(10):
            setter = gevent.spawn_later(0.03, signal.set)
            signal.wait(0.2)
            setter.join()  # on a busy machine the time may have been up before
            signal.clear()
        started = time.monotonic()
        print(signal.wait(0.2), time.monotonic() - started > 0.19)
        signal.close()
        gevent.sleep(0.3)  # no timer is left
        print(signal._timer)
        """
    )
    assert output.split() == ["False", "True", "None"]
