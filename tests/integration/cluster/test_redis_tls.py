"""TLS to Redis: its certificate is checked, unless the settings or the URL say otherwise."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cluster.link import RedisLink
from app.errors import ClusterUnavailable
from tests.support.certificates import Certificates, make_certificates
from tests.support.servers import RedisServer


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def port(certificates: Certificates, redis_server: RedisServer) -> Iterator[int]:
    """Where a Redis answers over TLS, with a certificate that this machine does not trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, context, redis_server.port), daemon=True).start()
        yield listener.getsockname()[1]


def _serve(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # the test has ended
        threading.Thread(target=_relay, args=(client, context, port), daemon=True).start()


def _relay(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Answers one command after the other: the client waits for each reply."""
    try:
        near = context.wrap_socket(client, server_side=True)
        with near, socket.create_connection(("127.0.0.1", port)) as far:
            while data := near.recv(65536):
                far.sendall(data)
                near.sendall(far.recv(65536))
    except OSError:
        client.close()


def test_a_certificate_that_nobody_here_trusts_is_refused_and_the_way_out_is_said(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    link = RedisLink(f"rediss://:canary@127.0.0.1:{port}/0")
    with caplog.at_level(logging.WARNING), pytest.raises(ClusterUnavailable):
        link.ask("PING")
    link.close()
    said = str([vars(record) for record in caplog.records])
    assert "certificate verify failed" in said
    assert "OPENCLAW_REDIS_SSL_VERIFY=0" in said
    assert "canary" not in said


def test_it_is_taken_where_the_settings_say_so(port: int) -> None:
    link = RedisLink(f"rediss://127.0.0.1:{port}/0", ssl_verify=False)
    assert link.ask("PING") == b"PONG"
    link.close()


def test_it_is_taken_where_the_url_says_so(port: int) -> None:
    link = RedisLink(f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none")
    assert link.ask("PING") == b"PONG"
    link.close()


def test_an_authority_of_ones_own_can_be_named(port: int, certificates: Certificates) -> None:
    path = str(Path(certificates.authority))
    link = RedisLink(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={path}")
    assert link.ask("PING") == b"PONG"
    link.close()
