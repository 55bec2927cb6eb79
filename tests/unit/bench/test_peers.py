"""Other people's gateways in the benchmark: their failures are reported, and all their processes end."""

from __future__ import annotations

import itertools
import sys
import time

import psutil
import pytest

from bench import peers
from bench.bounds import GATEWAY, LITELLM, OPENCLAW, check_bounds
from bench.install import install_once
from bench.loads import PLAIN
from bench.peer_process import Peer
from bench.processes import clean_environment, free_port
from bench.subjects import Subject

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(program):
        command = [sys.executable, "-c", program]
        started.append(Peer("peer", command, free_port(), tmp_path, clean_environment(), tmp_path))
        return started[-1]

    yield begin
    for process in started:
        process.stop()


def wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def peer_bounds(*rows, idle=None):
    """The peers' bounds by name, from rows of (at once, subject, CPU of each round)."""
    document = {
        "rows": [
            {"load": PLAIN.name, "at_once": at_once, "subject": subject, "cpu_ms": {"all": cpu}}
            for at_once, subject, cpu in rows
        ],
        "idle": {name: {"worker_mib": mib} for name, mib in (idle or {}).items()},
        "many_streams": [
            {"subject": GATEWAY, "errors": [], "streams": 1000, "slowest": 1, "median": 1, "worker_mib": 1}
        ],
        "start": {"idle_worker_mib": 1, "start_seconds": 1},
    }
    return {bound["name"]: bound for bound in check_bounds(document) if bound["at_least"]}


def test_a_peer_is_compared_at_the_middle_number_of_requests():
    bounds = peer_bounds(
        (1, LITELLM, [1.0]), (32, LITELLM, [30.0]), (1, GATEWAY, [1.0]), (32, GATEWAY, [2.0])
    )
    assert bounds["CPU, LiteLLM's proxy, plain, 32 at once"]["value"] == 15.0


def test_a_peer_that_answers_one_request_at_once_is_compared_there():
    bounds = peer_bounds(
        (1, OPENCLAW, [300.0]), (32, OPENCLAW, [0.0]), (1, GATEWAY, [1.0]), (32, GATEWAY, [2.0])
    )
    assert bounds["CPU, openclaw, plain, 1 at once"]["met"]


def test_a_round_without_an_answer_does_not_count():
    bounds = peer_bounds((32, LITELLM, [0.0, 40.0]), (32, GATEWAY, [1.0, 2.0]))
    assert bounds["CPU, LiteLLM's proxy, plain, 32 at once"]["value"] == 20.0


def test_a_peer_that_was_not_measured_has_no_bounds():
    assert peer_bounds((32, GATEWAY, [1.0]), idle={GATEWAY: 50.0}) == {}


def test_idle_memory_is_compared():
    bounds = peer_bounds(idle={GATEWAY: 50.0, OPENCLAW: 400.0})
    assert (bounds["idle memory of the worker, openclaw"]["value"]) == 8.0
    assert not bounds["idle memory of the worker, openclaw"]["met"]


def test_a_peer_that_has_ended_has_a_row_with_its_error(start):
    process = start("pass")
    wait_until(lambda: process._process.poll() is not None)
    figures = peers.measure_subject(Subject("gone", process, answers=1), process, PLAIN, 1, 0.1)
    assert (figures.per_second, figures.cpu_ms, len(figures.errors)) == (0.0, 0.0, 1)


def test_a_peer_that_does_not_start_is_left_out_and_the_next_one_comes(monkeypatch, tmp_path):
    def fail(*_):
        raise RuntimeError("no network")

    monkeypatch.setattr(peers, "start_litellm", fail)
    monkeypatch.setattr(peers, "start_openclaw", lambda *_: "openclaw")
    messages = []
    assert list(peers.start_peers(tmp_path, 1, messages.append)) == ["openclaw"]
    assert messages == ["LiteLLM proxy is left out: no network"]


def test_a_peers_child_processes_end_with_it(start):
    process = start(PARENT)
    wait_until(lambda: process.log.read_text().strip())
    helper = psutil.Process(int(process.log.read_text()))
    process.stop()
    wait_until(lambda: not helper.is_running())


def test_a_complete_installation_is_reused_and_a_partial_one_is_not(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    numbers = itertools.count()

    def install(folder):
        if next(numbers) == 0:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        install_once("a-1.0", install, print)
    assert install_once("a-1.0", install, print) == tmp_path / "a-1.0"
    install_once("a-1.0", install, print)
    assert next(numbers) == 2


def test_a_peer_is_paused_while_others_are_measured(start):
    peer = start(PARENT)
    wait_until(lambda: len(peer._tree()) == 2)

    def states():
        return {process.status() for process in peer._tree()}

    with peer.awake():
        assert psutil.STATUS_STOPPED not in states()
    wait_until(lambda: states() == {psutil.STATUS_STOPPED})
    with peer.awake():
        wait_until(lambda: psutil.STATUS_STOPPED not in states())
    tree = peer._tree()
    peer.stop()
    wait_until(lambda: not any(process.is_running() for process in tree))
