"""The load generator's headroom, from the rows."""

from __future__ import annotations

from bench.headroom import describe_headroom, find_headroom


def row(subject, per_second, load=0.1, upstream=0.1, name="plain", **more):
    busy = {"subject": 1.0, "upstream": upstream, "load": load}
    rate = {"median": per_second}
    return {"load": name, "at_once": 32, "subject": subject, "per_second": rate, "busy": busy, **more}


def test_the_busiest_rows_without_those_that_are_meant_to_be_busy():
    found = find_headroom(
        [
            row("upstream alone", 9000, load=0.99, upstream=0.99),
            row("nginx", 8000, load=0.9, upstream=0.9),
            row("bare stack", 3000, load=0.2, upstream=0.1),
            row("this gateway", 1000, load=0.1, upstream=0.3),
        ]
    )
    assert (found["load"]["subject"], found["load"]["busy"]) == ("bare stack", 0.2)
    assert (found["upstream"]["subject"], found["upstream"]["busy"]) == ("this gateway", 0.3)
    assert found["least_ahead"]["times"] == 3.0
    assert "at least 3.0 times the rate of any subject (9000/s" in describe_headroom(found)


def test_paced_streams_are_not_compared_with_the_upstream_alone():
    found = find_headroom(
        [row("upstream alone", 32, name="paced", first={}), row("this gateway", 32, name="paced", first={})]
    )
    assert found["least_ahead"] is None
    assert "times" not in describe_headroom(found)


def test_a_subject_that_never_answered_does_not_count():
    assert find_headroom([row("upstream alone", 9000), row("openclaw", 0, load=0.9)]) == {}
    assert describe_headroom({})
