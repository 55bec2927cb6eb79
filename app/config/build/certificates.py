"""Files with certificate authorities that the operator trusts besides the public ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# OpenSSL's and Node.js's names.
_VARIABLES = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
_BEGINS = (b"-----BEGIN CERTIFICATE-----", b"-----BEGIN TRUSTED CERTIFICATE-----")


def ca_files_from(environ: Mapping[str, str]) -> tuple[tuple[Path, ...], list[str]]:
    """The readable files that the environment names, and a note for the log for each of the others."""
    files, notes = [], []
    for variable in _VARIABLES:
        if written := environ.get(variable, "").strip():
            path = Path(written)
            if why := problem_with(path):
                notes.append(f"{variable} is not used: the file {why}")
            else:
                files.append(path)
    return tuple(dict.fromkeys(files)), notes


def problem_with(path: Path) -> str | None:
    """Why the file cannot be used, None if it can: it is read, and has a certificate in PEM."""
    try:
        text = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if any(begin in text for begin in _BEGINS) else "has no certificate in PEM format"
