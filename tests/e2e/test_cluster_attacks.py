"""What goes wrong around several workers, and must leave nothing behind that is stuck, lost or doubled."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.support.cluster import Cluster
from tests.support.gateway import Answer, GatewayProcess, read_until
from tests.support.provider import ScriptedProvider, hang, says, text, wait_for, wait_until
from tests.support.runs import HEADERS

# A disk that is full just when runs end.
NO_ENDS = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$ LANGUAGE plpgsql;
CREATE TRIGGER no_ends BEFORE UPDATE ON runs FOR EACH ROW WHEN (NEW.state <> 'running')
EXECUTE FUNCTION refuse()
"""


@contextmanager
def ends_refused(cluster: Cluster) -> Iterator[None]:
    """While the block goes on the database stores no run's end."""
    cluster.rows(NO_ENDS)
    try:
        yield
    finally:
        cluster.rows("DROP TRIGGER no_ends ON runs")


def test_a_run_whose_end_could_not_be_stored_does_not_stop_its_session(
    cluster: Cluster, here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    with ends_refused(cluster):
        provider.plays(says("lost"))
        lost = here.ask("first", user="full")
        assert (lost.status, lost.error["code"]) == (503, "service_unavailable")
    assert there.ask("second", user="full").text == "echo: first\n\nsecond"
    run_id = lost.headers["X-OpenClaw-Run-Id"]
    assert cluster.rows(f"SELECT state FROM runs WHERE id = '{run_id}'") == [("interrupted",)]
    assert here.ask("third", user="full").text == "echo: third"


def test_a_run_whose_end_could_not_be_stored_ends_by_itself(
    cluster: Cluster, here: GatewayProcess, provider: ScriptedProvider
) -> None:
    with ends_refused(cluster):
        assert here.ask("alone", user="nobody-else").status == 503
    unended = "SELECT count(*) FROM runs WHERE state = 'running'"
    wait_until(lambda: cluster.rows(unended) == [(0,)], 30, "end of the run")


@pytest.mark.slow
def test_a_database_that_stands_still_stops_nobody_for_longer_than_it_is_waited_for(
    cluster: Cluster, here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    """docs/operations.md#what-failures-look-like: 5 s for what is asked, 30 s for the end of a run."""
    gate = threading.Event()
    provider.plays([text("a "), wait_for(gate), *says("b")])
    paths = ("/v1/sessions", "/v1/runs", "/v1/approvals", "/ready", "/health")

    def get(path: str) -> tuple[Answer, float]:
        began = time.monotonic()
        return there.request("GET", path, headers=HEADERS, timeout=60), time.monotonic() - began

    with ThreadPoolExecutor() as threads:
        body = {"model": "openclaw", "user": "hung", "messages": [{"role": "user", "content": "in hand"}]}
        run = threads.submit(here.request, "POST", "/v1/chat/completions", body, HEADERS, 100)
        provider.wait_for_requests(1)
        with cluster.postgres.standing_still():
            began = time.monotonic()
            gate.set()
            asked = dict(zip(paths, threads.map(get, paths), strict=True))
            assert run.result(100).status == 503
            assert time.monotonic() - began < 50
        assert {path: answer.status for path, (answer, _) in asked.items()} == {
            **dict.fromkeys(paths, 503),
            "/health": 200,
        }
        assert {path for path, (_, seconds) in asked.items() if seconds > 12} == set()
        assert asked["/health"][1] < 2
        assert there.ask("and now?", user="hung").text == "echo: in hand\n\nand now?"


def test_a_plain_request_that_is_sent_again_waits_for_the_worker_that_goes_on(
    cluster: Cluster, here: GatewayProcess, there: GatewayProcess, provider: ScriptedProvider
) -> None:
    """Nothing has reached its client, so it does not matter that half an answer is lost with its worker."""
    provider.plays([text("half"), hang()], says("whole"))
    key = {"Idempotency-Key": uuid.uuid4().hex, "x-openclaw-session-key": "again"}
    body = {"model": "openclaw", "messages": [{"role": "user", "content": "hi"}]}
    with ThreadPoolExecutor() as threads, here.stream("hi", headers=key) as stream:
        read_until(stream, b"half")
        again = threads.submit(there.request, "POST", "/v1/chat/completions", body, {**HEADERS, **key}, 90)
        for pid in cluster.worker_pids(here):
            os.kill(pid, signal.SIGKILL)
        answer = again.result(100)
    assert (answer.status, answer.text) == (200, "whole")
    assert len(provider.requests) == 2
    wait_until(lambda: len(cluster.worker_pids(here)) == cluster.workers, 60, "the next worker")
