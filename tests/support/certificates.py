"""A private certificate authority for tests, made with the `openssl` command."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

NAME = "provider.test"  # nobody can look it up: `.test` is reserved (RFC 6761)

_CONFIG = f"""
[req]
distinguished_name = name
prompt = no
[name]
CN = {NAME}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:{NAME}, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Certificates(NamedTuple):
    """`authority` is the file to trust; `server` has the key and certificate of `NAME` and 127.0.0.1."""

    authority: Path
    server: Path


def make_certificates(folder: Path) -> Certificates:
    config = folder / "openssl.cnf"
    config.write_text(_CONFIG)
    new = [
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-config",
        str(config),
    ]
    authority = ["-keyout", "ca.key", "-out", "ca.pem", "-days", "2"]
    _openssl(folder, *new, "-x509", "-subj", "/CN=Private", "-extensions", "authority", *authority)
    _openssl(folder, *new, "-keyout", "server.key", "-out", "server.csr")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    extensions = ["-extfile", str(config), "-extensions", "server"]
    _openssl(folder, "x509", "-req", "-in", "server.csr", "-out", "server.pem", *signed, *extensions)
    both = folder / "both.pem"
    both.write_text((folder / "server.key").read_text() + (folder / "server.pem").read_text())
    return Certificates(folder / "ca.pem", both)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
