"""Copies the last run's tables and chart into `docs/benchmarks.md`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bench.processes import ROOT
from bench.report import RESULTS, describe

BEGIN, END = "<!-- results: written by `python -m bench publish` -->", "<!-- end of results -->"
PAGE = ROOT / "docs" / "benchmarks.md"


def publish(page: Path = PAGE, results: Path = RESULTS) -> None:
    """Raises FileNotFoundError when nothing has been measured yet."""
    document = json.loads((results / "latest.json").read_text("utf-8"))
    page.write_text(replace_results(page.read_text("utf-8"), describe(document)), "utf-8")
    if (chart := results / "latest.png").exists():
        shutil.copy(chart, page.with_suffix(".png"))


def replace_results(text: str, tables: str) -> str:
    """`text` with other tables between the two marks. Raises ValueError if it does not have them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"The page needs the lines {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{tables.replace('## ', '### ')}\n\n{END}{after}"
