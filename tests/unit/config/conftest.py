"""One operator with an empty home: writes files, loads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.config.loader import load_settings
from app.config.settings import Settings
from app.errors import ConfigError


@dataclass
class Operator:
    """`environ` is all that the gateway would see; nothing of the real environment gets in."""

    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.home / ".openclaw" / "openclaw.json"

    def write(self, text: str, name: str | Path | None = None) -> Path:
        path = self.file if name is None else self.file.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def load(self, text: str | None = None, **environ: str) -> Settings:
        if text is not None:
            self.write(text)
        return load_settings({"HOME": str(self.home), **self.environ, **environ}, self.cwd)

    @property
    def cwd(self) -> Path:
        return self.home / "work"

    def problems(self, text: str | None = None, **environ: str) -> list[str]:
        """The mistakes, without the name of the configuration file in front."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, **environ)
        assert caught.value.message.startswith(("environment: ", "/"))
        assert all("\n" not in problem for problem in caught.value.problems)
        return [problem.removeprefix(str(self.file)).lstrip(":") for problem in caught.value.problems]


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    operator = Operator(tmp_path)
    operator.cwd.mkdir()
    return operator
