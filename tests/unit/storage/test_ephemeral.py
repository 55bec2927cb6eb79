"""Which disks are known not to keep what is written to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.storage.ephemeral import why_ephemeral

CONTAINER = """\
570 509 0:63 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l,upperdir=/u
571 570 0:66 / /proc rw,nosuid - proc proc rw
572 570 0:67 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k
601 570 254:1 /volumes/x/_data /data rw,relatime - ext4 /dev/vda1 rw
602 570 254:1 /v /with\\040blank rw,relatime shared:7 - xfs /dev/vdb rw
603 570 0:70 / /run rw - tmpfs tmpfs rw
"""
SERVER = "21 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n"


@pytest.mark.parametrize(
    ("mounted", "file", "why"),
    [
        (CONTAINER, "/home/x/.openclaw/gateway.sqlite", "inside the container"),
        (CONTAINER, "/database/gateway.sqlite", "inside the container"),
        (CONTAINER, "/data/gateway.sqlite", None),
        (CONTAINER, "/data/deeper/gateway.sqlite", None),
        (CONTAINER, "/with blank/gateway.sqlite", None),
        (CONTAINER, "/run/gateway.sqlite", "in memory (tmpfs)"),
        (SERVER, "/var/lib/gateway.sqlite", None),
        ("", "/var/lib/gateway.sqlite", None),
    ],
)
def test_the_file_system_tells(tmp_path: Path, mounted: str, file: str, why: str | None) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(mounted)
    found = why_ephemeral(f"sqlite:///{file}", {}, mounts)
    if why is None:
        assert found is None
    else:
        assert found is not None
        assert why in found
        assert "DATABASE_URL" in found


def test_a_dyno_keeps_nothing() -> None:
    assert "dyno" in (why_ephemeral("sqlite:////app/x.sqlite", {"DYNO": "web.1"}) or "")


def test_postgresql_is_elsewhere(tmp_path: Path) -> None:
    assert why_ephemeral("postgresql+psycopg://h/x", {"DYNO": "web.1"}) is None


def test_where_there_is_no_list_nothing_is_said(tmp_path: Path) -> None:
    assert why_ephemeral("sqlite:////x.sqlite", {}, tmp_path / "none") is None
