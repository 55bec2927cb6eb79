"""The locks that `bin/install` installs from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_LOCKED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?P<rest>(?:.*\\\n)+.*)$", re.MULTILINE)


def plain(name: str) -> str:
    """A package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def pinned(file: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in (ROOT / file).read_text().splitlines():
        if line.startswith("-r "):
            found |= pinned(line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            name, version = line.partition(";")[0].split("==")
            found[plain(name)] = version.strip()
    return found


def locked(file: str) -> list[re.Match[str]]:
    return list(_LOCKED.finditer((ROOT / file).read_text()))


@pytest.mark.parametrize("name", ["requirements", "requirements-dev", "requirements-local"])
def test_every_requirement_is_in_its_lock(name: str):
    versions = {(found["name"], found["version"]) for found in locked(f"{name}.lock")}
    assert set(pinned(f"{name}.txt").items()) - versions == set()


@pytest.mark.parametrize("name", ["requirements", "requirements-dev", "requirements-local"])
def test_every_package_in_a_lock_has_its_hashes(name: str):
    found = locked(f"{name}.lock")
    assert len(found) == (ROOT / f"{name}.lock").read_text().count("==") - sum(
        one["rest"].count("==") for one in found
    )
    assert all("--hash=sha256:" in one["rest"] for one in found)


def test_nothing_is_installed_without_its_lock():
    script = (ROOT / "bin" / "install").read_text()
    installs = [line for line in script.splitlines() if "pip_install " in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)
