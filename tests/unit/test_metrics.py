"""What is counted comes out as Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from app.metrics import SECONDS, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = metrics.dump().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counts_are_kept_by_their_labels():
    metrics = Metrics()
    metrics.requests.add("/v1/chat/completions", "200")
    metrics.requests.add("/v1/chat/completions", "200")
    metrics.requests.add('/"odd"\n', "404")
    metrics.tokens.add("prompt", amount=12)
    found = samples(metrics)
    name = "openclaw_http_requests_total"
    assert found[name, frozenset({("route", "/v1/chat/completions"), ("status", "200")})] == 2
    assert found[name, frozenset({("route", '/"odd"\n'), ("status", "404")})] == 1
    assert found["openclaw_tokens_total", frozenset({("kind", "prompt")})] == 12


def test_durations_are_counted_in_all_buckets_they_fit_in():
    metrics = Metrics()
    for seconds in (0.005, 0.3, 0.3, 10_000):
        metrics.run_seconds.observe(seconds, "finished")
    found = samples(metrics)

    def bucket(edge: str) -> float:
        labels = frozenset({("outcome", "finished"), ("le", edge)})
        return found["openclaw_run_duration_seconds_bucket", labels]

    assert [bucket(edge) for edge in ("0.005", "0.25", "0.5", "600.0", "+Inf")] == [1, 1, 3, 3, 4]
    of_all = frozenset({("outcome", "finished")})
    assert found["openclaw_run_duration_seconds_count", of_all] == 4
    assert found["openclaw_run_duration_seconds_sum", of_all] == 10_000.605


def test_a_histogram_without_labels_is_there_from_the_start():
    found = samples(Metrics())
    assert found["openclaw_queue_wait_seconds_count", frozenset()] == 0
    edges = [dict(labels)["le"] for name, labels in found if name == "openclaw_queue_wait_seconds_bucket"]
    assert len(edges) == len(SECONDS) + 1
