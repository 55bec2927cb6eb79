"""A program of its own: HTML on its standard input, the readable text as JSON on its standard output.

It takes CPU and memory that the worker must not spend, and hostile HTML ends here. Arguments: the page's URL,
`markdown` or `text`, and `main` (menus and the like are left out) or `all`.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

MAX_CPU_SECONDS = 20
MAX_MEMORY_BYTES = 1024 * 1024 * 1024


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    import trafilatura  # noqa: PLC0415  (after the limits are set)
    from trafilatura.metadata import extract_metadata  # noqa: PLC0415

    url, form, part = sys.argv[1:4]
    html = sys.stdin.buffer.read()
    tree = trafilatura.load_html(html)
    if tree is None:
        json.dump({"title": None, "text": None}, sys.stdout)
        return
    options: dict[str, Any] = {
        "url": url,
        "output_format": "markdown" if form == "markdown" else "txt",
        "include_links": form == "markdown",
        "include_tables": True,
    }
    text = None if part == "all" else trafilatura.extract(html, **options)
    text = text or trafilatura.extract(html, favor_recall=True, **options) or trafilatura.html2txt(html)
    metadata = extract_metadata(tree, url)
    json.dump({"title": metadata.title if metadata else None, "text": text}, sys.stdout)


if __name__ == "__main__":
    main()
