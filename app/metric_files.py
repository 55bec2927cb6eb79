"""The numbers of several workers on one host, in files that each of them maps into its memory.

The files and their sums are those of prometheus-client's multiprocess mode: `counter_<pid>.db` and the like,
one number for each metric and its labels. A worker that has ended leaves its counts, so that no sum ever goes
down, while what it measured at the moment (`gauge_live…_<pid>.db`) is removed (`forget_gauges`).

    worker 101   counter_101.db   openclaw_runs{agent="main"} 5
    worker 102   counter_102.db   openclaw_runs{agent="main"} 3      /metrics of either: 8
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

# The library has no types for these.
_mmap_key: Any = mmap_key
_MmapedDict: Any = MmapedDict
_Collector: Any = MultiProcessCollector

Kind = Literal["counter", "histogram", "gauge_livesum", "gauge_livemax"]


class MetricFiles:
    """This worker's numbers, in `folder`. A file is made when its first number is put."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Kind, Any] = {}
        self._keys: dict[tuple[str, tuple[str, ...]], str] = {}

    def put(
        self,
        kind: Kind,
        family: str,
        sample: str,
        names: Sequence[str],
        values: tuple[str, ...],
        number: float,
        meaning: str,
    ) -> None:
        """Set the number of a sample, such as `openclaw_runs_total` of the family `openclaw_runs`, with these
        names and values of its labels.
        """
        key = self._keys.get((sample, values))
        if key is None:
            key = self._keys[sample, values] = _mmap_key(family, sample, names, values, meaning)
        file = self._files.get(kind)
        if file is None:
            file = self._files[kind] = _MmapedDict(str(self._folder / f"{kind}_{os.getpid()}.db"))
        file.write_value(key, number, 0.0)

    def dump(self) -> bytes:
        """The sums over all workers, in Prometheus' text format."""
        registry = CollectorRegistry()
        _Collector(registry, str(self._folder))
        return generate_latest(registry)

    def close(self) -> None:
        """Unmap the files. What was counted stays in them."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def make_folder() -> Path:
    """A new folder for the numbers of all workers of one server."""
    return Path(tempfile.mkdtemp(prefix="openclaw-metrics-"))


def remove_folder(folder: Path) -> None:
    """To be called when the last of the workers has ended."""
    shutil.rmtree(folder, ignore_errors=True)


def forget_gauges(folder: Path, pid: int) -> None:
    """Remove what an ended worker measured at its last moment. Its counts stay."""
    for file in folder.glob(f"gauge_live*_{pid}.db"):
        file.unlink(missing_ok=True)
