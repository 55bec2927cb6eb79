"""Workers that count together: any of them shows the sums."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from app.metric_files import forget_gauges, make_folder, remove_folder
from app.metrics import Metrics

OTHER_WORKER = """
import os, sys
from pathlib import Path
from app.metrics import Metrics
metrics = Metrics(Path(sys.argv[1]))
metrics.runs.add("main", "http", "finished", amount=3)
metrics.run_seconds.observe(0.3, "finished")
metrics.run_seconds.observe(1000, "finished")
metrics.watch("openclaw_level", "A level.", lambda: 5)
metrics.active_streams.inc()
metrics.record_lag(0.75)
print(os.getpid())
"""


def other_worker(folder: Path) -> int:
    """Has counted, and is gone; its process id."""
    command = [sys.executable, "-c", OTHER_WORKER, str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)


def lines(metrics: Metrics, name: str) -> list[str]:
    return [line for line in metrics.dump().decode().splitlines() if line.startswith(name)]


def test_counts_are_added_up_and_outlive_their_worker(tmp_path: Path):
    metrics = Metrics(tmp_path)
    metrics.runs.add("main", "http", "finished")
    metrics.runs.add("main", "ws", "failed")
    metrics.run_seconds.observe(0.3, "finished")
    metrics.watch("openclaw_level", "A level.", lambda: 2)
    metrics.record_lag(0.25)
    pid = other_worker(tmp_path)
    counts = [
        'openclaw_runs_total{agent="main",outcome="failed",source="ws"} 1.0',
        'openclaw_runs_total{agent="main",outcome="finished",source="http"} 4.0',
    ]
    assert sorted(lines(metrics, "openclaw_runs_total")) == counts
    buckets = lines(metrics, "openclaw_run_duration_seconds")
    assert 'openclaw_run_duration_seconds_bucket{le="0.25",outcome="finished"} 0.0' in buckets
    assert 'openclaw_run_duration_seconds_bucket{le="0.5",outcome="finished"} 2.0' in buckets
    assert 'openclaw_run_duration_seconds_bucket{le="+Inf",outcome="finished"} 3.0' in buckets
    assert 'openclaw_run_duration_seconds_count{outcome="finished"} 3.0' in buckets
    assert lines(metrics, "openclaw_level") == ["openclaw_level 7.0"]
    assert lines(metrics, "openclaw_active_streams") == ["openclaw_active_streams 1.0"]
    assert lines(metrics, "openclaw_hub_lag_seconds") == ["openclaw_hub_lag_seconds 0.75"]
    forget_gauges(tmp_path, pid)
    assert lines(metrics, "openclaw_level") == ["openclaw_level 2.0"]
    assert lines(metrics, "openclaw_hub_lag_seconds") == ["openclaw_hub_lag_seconds 0.25"]
    assert sorted(lines(metrics, "openclaw_runs_total")) == counts
    metrics.close()


def test_the_same_metrics_are_shown_with_and_without_files(tmp_path: Path):
    def shown(metrics: Metrics) -> set[str]:
        for labels in (("main", "http", "finished"), ("main", "cli", "failed")):
            metrics.runs.add(*labels)
        metrics.queue_seconds.observe(0.1)
        metrics.tool_seconds.observe(0.1, "read")
        lines = metrics.dump().decode().splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    metrics = Metrics(tmp_path)
    alone, together = shown(Metrics()), shown(metrics)
    metrics.close()
    never_observed = {name for name in alone - together if "_created" not in name}
    assert together - alone == set()
    assert {name.partition("{")[0].rpartition("_")[0] for name in never_observed} <= {
        "openclaw_time_to_first_token_seconds"
    }


def test_the_folder_goes_with_the_server():
    folder = make_folder()
    metrics = Metrics(folder)
    metrics.runs.add("main", "http", "finished")
    metrics.close()
    remove_folder(folder)
    assert not folder.exists()
