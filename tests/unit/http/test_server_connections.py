"""The server holds no more connections than the process may open files."""

from __future__ import annotations

import pytest

from app.http.server_connections import connections_within


@pytest.mark.parametrize(
    ("files", "connections"),
    [
        (1_048_576, 2000),
        (3664, 2000),  # 2000 clients, 1600 providers and 64 files
        (3000, 1468),
        (1024, 480),
        (256, 96),
        (64, 1),
        (10, 1),
    ],
)
def test_connections_leave_room_for_providers_and_files(files: int, connections: int):
    assert connections_within(files, 2000, 1600) == connections


def test_few_runs_need_few_files():
    assert connections_within(1024, 2000, 10) == 950
