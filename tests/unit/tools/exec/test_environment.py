"""What commands get of the environment."""

from __future__ import annotations

import pytest

from app.config.tool_settings import ExecSettings
from app.tools.base import ToolError
from app.tools.exec.environment import check_variables, command_environment
from app.tools.exec.keys import decode_hex, encode_keys
from app.tools.exec.names import new_name


def test_only_what_is_listed_is_passed_on():
    environ = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "LC_ALL": "C",
        "OPENAI_API_KEY": "secret",
        "JAVA_HOME": "/java",
        "JAVA_TOKEN": "secret",
        "OPENCLAW_GATEWAY_TOKEN": "secret",
        "LD_PRELOAD": "secret",
        "DATABASE_URL": "postgres://me:secret@host/db",
        "GITHUB_PAT": "secret",
        "AWS_ACCESS_KEY_ID": "secret",
        "SIGNING_KEY": "secret",
        "DB_PASS": "secret",
        "MyToken2": "secret",
        "PLAIN_URL": "http://host/path",
    }
    settings = ExecSettings(inherit_env=("*",), path_prepend=("/first",))
    found = command_environment(environ, settings, "/bin/bash", {"MINE": "1"}, "mark")
    assert not any("secret" in value for value in found.values())
    assert found["PLAIN_URL"] == "http://host/path"
    assert "LD_PRELOAD" not in found
    assert (found["PATH"], found["HOME"], found["JAVA_HOME"]) == ("/first:/bin", "/home/me", "/java")
    assert (found["LC_ALL"], found["MINE"], found["SHELL"]) == ("C", "1", "/bin/bash")
    assert (found["OPENCLAW_SHELL"], found["OPENCLAW_EXEC_MARK"]) == ("exec", "mark")


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "Path", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV", "IFS"),
        *("NODE_OPTIONS", "PYTHONSTARTUP", "PYTHONPATH", "PERL5OPT", "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF"),
        *("BASH_FUNC_ls%%", "OPENCLAW_EXEC_MARK", "1X", "A=B", "", "A\nB"),
    ],
)
def test_some_variables_cannot_be_set(name: str):
    with pytest.raises(ToolError):
        check_variables({name: "x"})


def test_values_are_bounded():
    check_variables({"A": "x" * 100, "_b2": ""})
    for env in ({"A": "x\0"}, {"A": "x" * 100_000}, {f"A{number}": "" for number in range(1000)}):
        with pytest.raises(ToolError):
            check_variables(env)


def test_keys_are_what_a_terminal_sends():
    assert (
        encode_keys(["l", "s", "Enter", "C-c", "M-x", "Up", "F5", "^D"]) == b"ls\r\x03\x1bx\x1b[A\x1b[15~\x04"
    )
    assert decode_hex(["1b", "0x5B", "41"]) == b"\x1b[A"
    for wrong in ("NoSuchKey", "C-", "C-é"):
        with pytest.raises(ToolError):
            encode_keys([wrong])
    with pytest.raises(ToolError):
        decode_hex(["zz"])


def test_names_are_two_words_and_never_twice():
    names: set[str] = set()
    for _ in range(500):
        name = new_name(names)
        assert name not in names
        names.add(name)
