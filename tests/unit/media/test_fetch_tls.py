"""TLS is with the host that the URL names, though the connection goes to an address."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.config.settings import ImageSettings
from app.errors import InvalidRequest
from app.media.fetch import Network, trusted_tls
from app.media.image_url import fetch_image
from app.media.location import Location
from tests.unit.media.image_host import ImageHost, ok, png, redirect

X = Location.field("x")
LIMITS = ImageSettings(allow_url=True, timeout_seconds=5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of images.test in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
               "-nodes", "-days", "2", "-subj", "/CN=images.test",
               "-addext", "subjectAltName=DNS:images.test",
               "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.fixture
def secure_host(certificate: Path) -> Iterator[ImageHost]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ImageHost(context) as host:
        host.pages["/a.png"] = ok(png())
        yield host


@pytest.fixture
def trusting(network: Network, certificate: Path) -> Network:
    context = ssl.create_default_context(cafile=certificate)
    return replace(network, tls=lambda: context)


def refusal(url: str, network: Network) -> str:
    with pytest.raises(InvalidRequest) as caught:
        fetch_image(url, X, LIMITS, network)
    return caught.value.message


def test_an_image_is_fetched_over_tls(secure_host: ImageHost, trusting: Network) -> None:
    url = secure_host.url("/a.png", scheme="https")
    assert fetch_image(url, X, LIMITS, trusting).content == png()


def test_the_certificate_must_be_valid_for_the_name(secure_host: ImageHost, trusting: Network) -> None:
    url = secure_host.url("/a.png", host="other.test", scheme="https")
    assert "no valid TLS certificate" in refusal(url, trusting)
    assert secure_host.requests == []


def test_the_certificate_must_be_of_a_known_authority(secure_host: ImageHost, network: Network) -> None:
    assert "no valid TLS certificate" in refusal(secure_host.url("/a.png", scheme="https"), network)
    assert trusted_tls().check_hostname
    assert trusted_tls().verify_mode is ssl.CERT_REQUIRED


def test_a_redirect_may_lead_to_tls(host: ImageHost, secure_host: ImageHost, trusting: Network) -> None:
    host.pages["/a"] = redirect(secure_host.url("/a.png", scheme="https"))
    assert fetch_image(host.url("/a"), X, LIMITS, trusting).content == png()


def test_a_host_that_speaks_no_tls_is_refused(host: ImageHost, trusting: Network) -> None:
    limits = replace(LIMITS, timeout_seconds=0.3)
    with pytest.raises(InvalidRequest):
        fetch_image(host.url("/a", scheme="https"), X, limits, trusting)
