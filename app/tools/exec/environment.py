"""The environment of commands: an allowlist, never a secret. Pure but for what is handed in.

A program that is started with a chosen `LD_PRELOAD` or `NODE_OPTIONS` is another program: a call may not set
what decides how programs are found, loaded or configured to run others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from app.config.shown.secrets import is_secret_name
from app.config.tool_settings import ExecSettings
from app.tools.base import ToolError

PASSED_ON = frozenset(
    (
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "PATH",
        "SHELL",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
        "XDG_RUNTIME_DIR",
    )
)
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MARK = "OPENCLAW_EXEC_MARK"  # whose command it is: `Leftovers` finds it by that
MAX_VARIABLES = 100
MAX_VALUE = 32_000  # characters

# Of programs that start others, or load code, as these variables say.
_NEVER_SET = """
BASHOPTS BASH_ENV BROWSER CDPATH CLASSPATH EDITOR ENV GCONV_PATH GLOBIGNORE HOME IFS JAVA_TOOL_OPTIONS
JDK_JAVA_OPTIONS KSH_ENV LESSCLOSE LESSOPEN LOCPATH LOGNAME MANPAGER NODE_OPTIONS NODE_PATH
NODE_REPL_EXTERNAL_MODULE PAGER PATH PATHEXT PERL5DB PERL5LIB PERL5OPT PERLLIB PHPRC PHP_INI_SCAN_DIR
PROMPT_COMMAND PS0 PS1 PS4 PYTHONBREAKPOINT PYTHONHOME PYTHONINSPECT PYTHONPATH PYTHONSTARTUP PYTHONUSERBASE
RUBYLIB RUBYOPT RUSTC_WRAPPER SHELL SHELLOPTS SSH_ASKPASS SUDO_ASKPASS USER VISUAL ZDOTDIR _JAVA_OPTIONS
"""
_NEVER_SET_PREFIXES = ("BASH_FUNC_", "DYLD_", "GIT_", "LD_", "MALLOC_", "NPM_CONFIG_", "OPENCLAW_", "PIP_")
# Names and values that are not inherited, whatever pattern allows them.
_SECRET_NAME = re.compile(
    r"^OPENCLAW_|^LD_|^DYLD_|TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY"
    r"|_(KEY|PAT|DSN|PWD|PASS)$",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"://[^/@\s]*:[^/@\s]+@")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)


def check_variables(env: Mapping[str, str]) -> None:
    """Raise ToolError if a call may not set one of these."""
    if len(env) > MAX_VARIABLES:
        raise ToolError(f"env has more than {MAX_VARIABLES} variables.")
    for name, value in env.items():
        if not _NAME.fullmatch(name):
            raise ToolError(f"env: {name[:80]!r} is not the name of a variable.")
        if is_protected(name):
            raise ToolError(
                f"env may not set {name}: it decides which programs run. If the command needs it, write it "
                f"into the command itself: {name}=… program"
            )
        if "\0" in value or len(value) > MAX_VALUE:
            raise ToolError(f"env: the value of {name} is too long, or has a null character.")


def is_protected(name: str) -> bool:
    """Whether a call may not set that variable."""
    upper = name.upper()
    return upper in _NEVER_SET.split() or upper.startswith(_NEVER_SET_PREFIXES)


def command_environment(
    environ: Mapping[str, str], settings: ExecSettings, shell: str, env: Mapping[str, str], mark: str
) -> dict[str, str]:
    """What a command gets: of the gateway's own environment (`environ`) only what it needs, and `env`."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in PASSED_ON or name.startswith("LC_") or _is_inherited(name, value, settings.inherit_env)
    }
    path = [*settings.path_prepend, kept.get("PATH") or DEFAULT_PATH]
    return {
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        **kept,
        "PATH": ":".join(path),
        "SHELL": shell,
        **env,
        "OPENCLAW_SHELL": "exec",
        MARK: mark,
    }


def _is_inherited(name: str, value: str, patterns: tuple[str, ...]) -> bool:
    if not any(fnmatchcase(name, pattern) for pattern in patterns):
        return False
    return not (is_secret_name(name) or _SECRET_NAME.search(name) or _USERINFO.search(value))
