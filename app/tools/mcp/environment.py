"""What an MCP server's process gets of the environment: harmless ones of ours, and those of its entry."""

from __future__ import annotations

from collections.abc import Mapping

# Variables that a program needs to be found, to be loaded and to write in the right language and place.
PASSED_ON = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ", "LANG", "LANGUAGE"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "NO_PROXY", "no_proxy"),
    )
)
PROXIES = frozenset(
    name for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (upper, upper.lower())
)
# With these, a value becomes code in whatever program reads them.
REFUSED = frozenset(
    ("NODE_OPTIONS", "PYTHONSTARTUP", "PERL5OPT", "RUBYOPT", "BASHOPTS", "BASH_ENV", "KSH_ENV")
)
REFUSED_STARTS = ("LD_", "DYLD_", "BASH_FUNC_")


def server_environment(
    environ: Mapping[str, str], given: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The environment of a server, and the names among `given` that are left out of it."""
    passed = {name: value for name, value in environ.items() if _is_passed_on(name, value)}
    refused = [name for name in given if name.upper() in REFUSED or name.upper().startswith(REFUSED_STARTS)]
    return {**passed, **{name: value for name, value in given.items() if name not in refused}}, refused


def _is_passed_on(name: str, value: str) -> bool:
    if name in PROXIES:
        return "@" not in value  # else it has a password
    return name in PASSED_ON or name.startswith("LC_")
