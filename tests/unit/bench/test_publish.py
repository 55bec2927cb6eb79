"""The page of results: where its tables are put, and that it has every bound."""

from __future__ import annotations

import pytest

from bench.bounds import AT_MOST
from bench.publish import BEGIN, END, PAGE, replace_results


def test_only_the_text_between_the_marks_is_replaced():
    page = f"# Title\n\n{BEGIN}\n\nold\n\n{END}\n\nRest.\n"
    once = replace_results(page, "## Bounds\n\nnew")
    assert once == f"# Title\n\n{BEGIN}\n\n### Bounds\n\nnew\n\n{END}\n\nRest.\n"
    assert replace_results(once, "## Bounds\n\nnew") == once


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_page_without_the_marks_is_refused(page: str):
    with pytest.raises(ValueError, match="needs the lines"):
        replace_results(page, "new")


def test_the_published_page_has_every_bound():
    text = PAGE.read_text("utf-8")
    tables = text.partition(BEGIN)[2].partition(END)[0]
    for name, *_ in AT_MOST:
        assert f"| CPU, {name}" in tables
