"""Whatever a file holds: settings or a `ConfigError`, never anything else."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import json5
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.config.loader import load_settings
from app.config.settings import Settings
from app.config.shown.redact import redact
from app.errors import ConfigError

EXAMPLE = (Path(__file__).parents[3] / "examples" / "openclaw.json5").read_text("utf-8")
TREE: Any = json5.loads(EXAMPLE)
ENVIRON = {"HOME": "/nonexistent", "OPENCLAW_GATEWAY_TOKEN": "token"}

STRANGE = [
    None, True, 0, -1, 2**70, 1.5, float("nan"), float("inf"), "", " ", "x", "\x00", "\ud800", "${NO_SUCH}",
    "$include", "a/b", "http://[", "99999999999999999999d", [], [[]], [None], {}, {"": {}}, {"id": "x"},
    {"source": "env", "id": 5}, {"source": "env", "id": "HOME"}, {"$include": "x"}, {"$include": [1]},
]  # fmt: skip
KEYS = ["id", "default", "model", "$include", "env", "list", "entries", "", "\ud800", "a b", "__proto__"]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(STRANGE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
pytestmark = pytest.mark.slow
quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def load(tmp_path: Path, text: str) -> Settings | None:
    file = tmp_path / "openclaw.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        loaded = load_settings({**ENVIRON, "OPENCLAW_CONFIG_PATH": str(file)}, tmp_path)
    except ConfigError as error:
        return refused(error, file)
    assert sum(agent.default for agent in loaded.agents) == 1
    json.dumps(redact(loaded)).encode()
    return loaded


def refused(error: ConfigError, file: Path) -> None:
    assert error.problems
    assert error.message.startswith((str(file), "environment"))
    assert all(problem.isprintable() for problem in error.problems)


def mutate(tree: Any, pick: random.Random, value: Any) -> Any:
    """The tree with one spot changed: replaced, removed, renamed or added."""
    tree = copy.deepcopy(tree)
    spots = list(containers(tree))
    spot = pick.choice(spots)
    if isinstance(spot, list):
        spot.insert(pick.randint(0, len(spot)), value)
    elif not spot or pick.random() < 0.3:
        spot[pick.choice(KEYS)] = value
    else:
        key = pick.choice(list(spot))
        old = spot.pop(key)
        if pick.random() < 0.2:
            spot[key[:-1] + pick.choice("xyz_")] = old
        elif pick.random() < 0.9:
            spot[key] = value
    return tree


def containers(tree: Any) -> Any:
    if isinstance(tree, dict | list):
        yield tree
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from containers(item)


def test_the_tree_is_valid_before_it_is_changed(tmp_path: Path):
    assert load(tmp_path, json.dumps(TREE)) is not None


@quick
@given(st.randoms(use_true_random=False), st.lists(anything, min_size=1, max_size=4))
def test_a_changed_tree_is_settings_or_a_config_error(tmp_path: Path, pick: random.Random, values: list[Any]):
    tree = TREE
    for value in values:
        tree = mutate(tree, pick, value)
    load(tmp_path, json.dumps(tree))


@quick
@given(st.integers(0, len(EXAMPLE)), st.integers(0, 40), st.text(alphabet="{}[],:'\"\\/*$n\n 0a", max_size=6))
@example(0, 0, "\ufeff")
def test_a_changed_text_is_settings_or_a_config_error(tmp_path: Path, start: int, cut: int, put: str):
    load(tmp_path, EXAMPLE[:start] + put + EXAMPLE[start + cut :])


@quick
@given(st.binary(max_size=30))
def test_any_bytes_are_settings_or_a_config_error(tmp_path: Path, data: bytes):
    load(tmp_path, data.decode("utf-8", "replace"))
    (tmp_path / ".env").write_bytes(data)
    load(tmp_path, "{}")
