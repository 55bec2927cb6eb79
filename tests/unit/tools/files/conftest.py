from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.tools.files.agent_files import AgentFiles


@pytest.fixture
def files(tmp_path: Path) -> AgentFiles:
    return AgentFiles(tmp_path)
