"""A greenlet that never waits still lets the event loop turn (gevent 26.9.0: `idle`, `loop.iteration`)."""

from __future__ import annotations

from app.concurrency.fairness import give_way
from tests.support.patched import patched

# The process's own time counts: when a busy machine does something else meanwhile, that is no fault.
HOG = """
    from app.concurrency import fairness
    from app.concurrency.fairness import MAX_SLICE, give_way
    from gevent import socket

    clock = fairness.monotonic = time.process_time

    def work(seconds):
        until = clock() + seconds
        while clock() < until:
            pass

    def hog(pieces):
        for _ in range(pieces):
            give_way()
            work(0.001)
"""


def test_the_loop_looks_at_its_sockets_while_greenlets_never_wait():
    output = patched(
        HOG
        + """
    ours, theirs = socket.socketpair()
    answers = []

    def echo():
        while data := ours.recv(1):
            ours.sendall(data)

    def ask():
        while not all(hog.dead for hog in hogs):
            theirs.sendall(b"x")
            answers.append(theirs.recv(1))

    gevent.spawn(echo)
    hogs = [gevent.spawn(hog, 200) for _ in range(3)]
    gevent.spawn(ask).join()
    # 0.6 s of work in slices of about 5 ms; a question and its answer take some turns of the loop.
    print(len(answers) > 10)
    """
    )
    assert output.split() == ["True"]


def test_no_greenlet_waits_until_another_has_done_all_its_work():
    output = patched(
        HOG
        + """
    order = []

    def named(name, pieces):
        hog(pieces)
        order.append(name)

    gevent.joinall([gevent.spawn(named, "long", 1000), gevent.spawn(named, "short", 30)])
    print(*order)
    """
    )
    assert output.split() == ["short", "long"]


def test_a_turn_is_bounded_however_many_greenlets_wait():
    output = patched(
        HOG
        + """
    turns = []

    def watch():
        while not all(hog.dead for hog in hogs):
            began = clock()
            gevent.sleep(0.001)
            turns.append(clock() - began)

    def big(pieces):
        for _ in range(pieces):
            give_way()
            work(0.02)

    hogs = [gevent.spawn(big, 3) for _ in range(40)]
    gevent.spawn(watch).join()
    # 2.4 s of work in 120 pieces; without a bound all 40 would work in each turn.
    print(len(turns) > 8, all(hog.successful() for hog in hogs))
    """
    )
    assert output.split() == ["True", "True"]


def test_none_waits_for_many_turns_that_take_long_by_themselves():
    """So it is with a thousand streams: those that come late must not wait until their time limits end."""
    output = patched(
        HOG
        + """
    waits = []

    def busy():
        while len(waits) < 90:
            gevent.sleep(0.001)
            work(0.3)

    def one():
        began = clock()
        give_way()
        work(0.02)
        waits.append(clock() - began)

    gevent.joinall([gevent.spawn(busy), *(gevent.spawn(one) for _ in range(90))])
    print(max(waits) < 6)
    """
    )
    assert output.split() == ["True"]


def test_starting_timers_does_not_count_as_a_turn():
    """In a callback gevent moves the loop's time when a timer is started, as each time limit does."""
    output = patched(
        HOG
        + """
    turns = []

    def limited():
        for _ in range(50):
            with gevent.Timeout(5):
                give_way()
            work(0.001)

    gevent.spawn(lambda: [turns.append(gevent.sleep(0.001)) for _ in range(1000)])
    gevent.spawn(limited).join()
    print(len(turns) >= 3)
    """
    )
    assert output.split() == ["True"]


def test_one_piece_in_a_turn_goes_on_at_once():
    output = patched(
        HOG
        + """
    gevent.idle = lambda priority: print("waited")

    def ordinary():
        for _ in range(20):
            gevent.sleep(0.001)
            give_way()
            work(0.006)

    gevent.spawn(ordinary).join()
    print("done")
    """
    )
    assert output.split() == ["done"]


def test_nothing_happens_in_a_process_of_threads():
    for _ in range(10):
        give_way()
