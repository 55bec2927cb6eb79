from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from app.config.source.dotenv import parse_dotenv

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator


PROMPT = "{agents: {defaults: {systemPrompt: '%s'}}}"


def prompt(operator: Operator, text: str, **environ: str) -> str | None:
    return operator.load(PROMPT % text, **environ).agents[0].system_prompt.text


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("hi ${NAME}", "hi Ann"),
        ("${NAME}${NAME}", "AnnAnn"),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$${NAME}"),
        ("$NAME and ${lower} and ${}", "$NAME and ${lower} and ${}"),
    ],
)
def test_variables_are_replaced(operator: Operator, written: str, meant: str):
    assert prompt(operator, written, NAME="Ann") == meant


def test_a_variables_own_text_is_not_looked_into(operator: Operator):
    assert prompt(operator, "${A}", A="${B}") == "${B}"


@pytest.mark.parametrize("environ", [{}, {"NO_SUCH": ""}])
def test_an_unset_variable_is_named(operator: Operator, environ: dict[str, str]):
    [problem] = operator.problems(PROMPT % "${NO_SUCH}", **environ)
    assert "1:22: agents.defaults.systemPrompt: the environment variable NO_SUCH is not set" in problem


def test_numbers_and_flags_may_come_from_variables(operator: Operator):
    settings = operator.load(
        "{gateway: {port: '${P}', metrics: {public: '${PUBLIC}'}}}", P="3001", PUBLIC="true"
    )
    assert (settings.gateway.port, settings.gateway.metrics_public) == (3001, True)


def test_a_variable_only_an_unused_section_needs_may_be_unset(operator: Operator):
    operator.load(
        "{channels: {telegram: {botToken: '${NO_SUCH}'}}, gateway: {tls: {certPath: '${NO_SUCH}'}}}"
    )


def test_a_secret_may_refer_to_the_environment_as_in_openclaw(operator: Operator):
    reference = "{gateway: {auth: {token: {source: '%s', provider: 'default', id: 'TOKEN'}}}}"
    assert operator.load(reference % "env", TOKEN="secret").gateway.auth.token == "secret"
    assert "TOKEN is not set" in operator.problems(reference % "env")[0]
    assert 'write "${NAME}"' in operator.problems(reference % "exec", TOKEN="secret")[0]


def test_dotenv_files_and_the_env_section_fill_what_is_lacking(operator: Operator):
    text = """{env: {A: 'section', B: 'section', C: 'section', D: 'section', vars: {D: 'vars', E: '${A}!'}},
               agents: {defaults: {systemPrompt: '${A} ${B} ${C} ${D} ${E}'}}}"""
    operator.write("B=beside\nC=beside\n", ".env")
    (operator.cwd / ".env").write_text("A=cwd\nC=cwd\n")
    settings = operator.load(text)
    assert settings.agents[0].system_prompt.text == "cwd beside cwd vars cwd!"
    assert operator.load(A="real", C="real").agents[0].system_prompt.text == "real beside real vars real!"


def test_the_real_environment_is_left_alone(operator: Operator):
    before = dict(os.environ)
    given = {"HOME": str(operator.home)}
    operator.write("FROM_DOTENV=1\n", ".env")
    operator.environ = given
    operator.load("{env: {FROM_SECTION: '1'}}")
    assert dict(os.environ) == before
    assert given == {"HOME": str(operator.home)}


def test_dotenv_may_name_the_file_and_hold_keys_of_the_catalogue(operator: Operator):
    operator.write("{gateway: {port: 3002}}", operator.home / "x.json")
    (operator.cwd / ".env").write_text("OPENCLAW_CONFIG_PATH=~/x.json\nGROQ_API_KEY=key\n")
    settings = operator.load()
    assert settings.gateway.port == 3002
    assert settings.providers["groq"].api_key == "key"


def test_an_unreadable_dotenv_is_ignored_with_a_note(operator: Operator):
    (operator.cwd / ".env").write_bytes(b"\xff\xfe=\x00")
    assert any(".env is ignored" in note for note in operator.load().notes)


@pytest.mark.parametrize(
    "env", ["{env: 5}", "{env: {vars: []}}", "{env: {A: 5}}", "{env: {vars: {A: null}}}"]
)
def test_an_env_section_of_other_things_is_refused(operator: Operator, env: str):
    assert "must be" in operator.problems(env)[0]


def test_shell_env_is_accepted(operator: Operator):
    operator.load("{env: {shellEnv: {enabled: true, timeoutMs: 1}}}")


def test_bytes_that_are_not_utf8_are_read_as_latin1(operator: Operator):
    token = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert operator.load(OPENCLAW_GATEWAY_TOKEN=token).gateway.auth.token == "café"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1", {"A": "1"}),
        ("export A = b c  ", {"A": "b c"}),
        ("A=1 # c\n# d\n\nB=2", {"A": "1", "B": "2"}),
        ("A=a#b", {"A": "a#b"}),
        ('A="x\\n\\"y\\"" # c', {"A": 'x\n"y"'}),
        ("A='x\\n#y'", {"A": "x\\n#y"}),
        ('A="two\nlines"\nB=1', {"A": "two\nlines", "B": "1"}),
        ("A=\r\nB=2\r\n", {"A": "", "B": "2"}),
        ("not an assignment\nA=1\n=2\n", {"A": "1"}),
        ("URL=postgres://u:p@h/d?x=1", {"URL": "postgres://u:p@h/d?x=1"}),
    ],
)
def test_dotenv_lines(text: str, found: dict[str, str]):
    assert parse_dotenv(text) == found
