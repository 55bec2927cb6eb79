"""Who may import whom (ARCHITECTURE.md), and how long files and functions are: a walk over the syntax of
`app/`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2] / "app"


def read_rows(text: str) -> tuple[tuple[str, ...], ...]:
    """The table below "Who may import whom", from the ground up. Two spaces end a row's names."""
    block = text.split("## Who may import whom")[1].split("```")[1]
    lines = [line.split("  ")[0] for line in block.strip().splitlines()]
    return tuple(tuple(name.strip() for name in line.split("|")) for line in reversed(lines))


ROWS = read_rows((APP.parent / "ARCHITECTURE.md").read_text("utf-8"))

# What only the bootstrap puts together; all others know a seam, a registry or a store.
CONCRETE = (
    "app.auth.limits",
    "app.config.watch",
    "app.providers.builtin",
    "app.providers.local",
    "app.providers.openai_chat",
    "app.providers.scripted",
    "app.providers.http.transport",
    "app.sessions.store",
    "app.storage.postgres",
    "app.storage.sqlite",
)
CONCRETE_BUT = {
    ("app.providers.openai_chat.provider", "app.providers.http.transport"): "its way to the server",
}

FLASK = ("app.exchange", "app.http", "app.ws", "app.web", "app.factory")
GEVENT = (
    "app.__main__",
    "app.http.connection",
    "app.concurrency",
    "app.providers.http",
    "app.runtime",
)
MAX_LINES = 250
MAX_FUNCTION_LINES = 40


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of ours by its dotted name."""
    return {name_of(path): ast.parse(path.read_text("utf-8")) for path in sorted(APP.rglob("*.py"))}


def name_of(path: Path) -> str:
    parts = path.relative_to(APP.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(node: ast.AST) -> Iterator[str]:
    """The modules that the imports below `node` name; `from app.http import errors` names app.http.errors."""
    for one in ast.walk(node):
        if isinstance(one, ast.Import):
            yield from (alias.name for alias in one.names)
        elif isinstance(one, ast.ImportFrom):
            assert one.level == 0, "imports are absolute"
            module = one.module or ""
            named = [f"{module}.{alias.name}" for alias in one.names]
            submodules = [name for name in named if name in trees()]
            yield from submodules
            if len(submodules) < len(named):
                yield module


def ours(node: ast.AST) -> set[str]:
    return {name for name in imports(node) if name in trees()}


def below(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def package_of(module: str) -> str:
    """`app.http.sse` -> `http`; the version in `app` itself belongs to nobody."""
    return module.split(".")[1] if "." in module else ""


def row_of(package: str) -> int:
    return next(number for number, row in enumerate(ROWS) if package in row)


EDGES = [(module, target) for module, tree in trees().items() for target in sorted(ours(tree))]


def test_every_package_has_its_row():
    named = {name for row in ROWS for name in row}
    assert {package_of(module) for module in trees()} - {""} <= named


def test_imports_point_down():
    wrong = []
    for module, target in EDGES:
        here, there = package_of(module), package_of(target)
        if here == there or not there:
            continue
        if not here or row_of(there) >= row_of(here):
            wrong.append(f"{module} imports {target}")
    assert wrong == []


def test_only_the_bootstrap_names_what_is_concrete():
    wrong = [
        f"{module} imports {target}"
        for module, target in EDGES
        for concrete in CONCRETE
        if below(target, concrete)
        and not below(module, concrete, "app.bootstrap", "app.build")
        and (module, target) not in CONCRETE_BUT
    ]
    assert wrong == []


def test_only_the_command_line_and_the_server_build_a_gateway():
    assert [
        module for module, target in EDGES if target == "app.bootstrap" and not below(module, "app.cli")
    ] == []
    entry_points = [
        path.name for path in APP.parent.glob("*.py") if "app.bootstrap" in path.read_text("utf-8")
    ]
    assert entry_points == ["wsgi.py"]


def test_no_exception_is_kept_that_is_not_needed():
    assert [edge for edge in CONCRETE_BUT if edge not in EDGES] == []


def test_there_are_no_circles():
    graph = {module: ours(tree) - {module} for module, tree in trees().items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_no_import_of_ours_hides_in_a_function():
    hidden = [
        f"{module}: {function.name} imports {', '.join(sorted(found))}"
        for module, tree in trees().items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and (found := ours(function))
    ]
    assert hidden == []


@pytest.mark.parametrize(("library", "allowed"), [("flask", FLASK), ("gevent", GEVENT)])
def test_a_library_is_imported_only_where_it_belongs(library: str, allowed: tuple[str, ...]):
    users = [
        module for module, tree in trees().items() if any(below(name, library) for name in imports(tree))
    ]
    assert [module for module in users if not below(module, *allowed)] == []


def test_no_file_is_long():
    lines = {
        module: len(path.read_text("utf-8").splitlines())
        for path in APP.rglob("*.py")
        for module in [name_of(path)]
    }
    assert {module: count for module, count in lines.items() if count > MAX_LINES} == {}


def test_no_function_is_long():
    found = {
        f"{module}: {function.name}": length
        for module, tree in trees().items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert found == {}


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_the_documents_name_files_that_exist(document: str):
    text = (APP.parent / document).read_text("utf-8")
    named = re.findall(r"`((?:app|tests|bin|docs|changes)/[\w./-]*)`", text)
    assert named
    assert [path for path in named if not (APP.parent / path).exists() and path != "app/tools/"] == []
