"""Two hosts behind a load balancer, as docs/deploy.md has it: nothing is missing on either."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.test_nginx import Command, caddy, nginx, running
from tests.support.documents import blocks
from tests.support.gateway import GatewayProcess, config_for, read_until
from tests.support.operator import operator
from tests.support.provider import ScriptedProvider, done, finish, text, wait_until
from tests.support.servers import PostgresServer, RedisServer


@pytest.fixture
def hosts(
    tmp_path: Path, provider: ScriptedProvider, postgres: PostgresServer, redis_server: RedisServer
) -> Iterator[list[GatewayProcess]]:
    config = config_for(provider.url, bind="loopback", trustedProxies=["127.0.0.1"])
    database, started = postgres.new_database(), []
    for number in range(2):
        folder = tmp_path / f"host-{number}"
        folder.mkdir()
        gateway = GatewayProcess(folder, config, DATABASE_URL=database, REDIS_URL=redis_server.url(7))
        started.append(gateway.start())
    yield started
    for gateway in started:
        gateway.stop()


def of_the_page(sign: str) -> str:
    """The example of docs/deploy.md that has that in it."""
    (found,) = [one.text for one in blocks() if one.document == "docs/deploy.md" and sign in one.text]
    return found


def with_hosts(text: str, hosts: list[GatewayProcess]) -> str:
    for number, gateway in enumerate(hosts, start=11):
        assert text.count(f"10.0.0.{number}:18789") == 1
        text = text.replace(f"10.0.0.{number}:18789", f"127.0.0.1:{gateway.port}")
    return text


def nginx_of(hosts: list[GatewayProcess]) -> Command:
    upstream, setting = with_hosts(of_the_page("upstream openclaw_gateway"), hosts).split("# In `location`")

    def command(folder: Path, port: int, _upstream: int) -> list[str]:
        words = nginx(folder, port, hosts[0].port)
        example = folder / "example.conf"
        before, _, rest = example.read_text().partition("upstream openclaw_gateway {")
        (line,) = [line for line in setting.splitlines() if line.startswith("proxy_next_upstream")]
        rest = rest.partition("}")[2].replace("proxy_next_upstream off;", line)
        example.write_text(before + upstream + rest)
        return words

    return command


def caddy_of(hosts: list[GatewayProcess]) -> Command:
    site = with_hosts(of_the_page("lb_policy"), hosts)

    def command(folder: Path, port: int, _upstream: int) -> list[str]:
        words = caddy(folder, port, hosts[0].port)
        file = folder / "Caddyfile"
        options = file.read_text().partition("#")[0]
        file.write_text(options + site.replace("gateway.example.org", f"http://127.0.0.1:{port}"))
        return words

    return command


@pytest.mark.parametrize("balancer", [nginx_of, caddy_of])
def test_whichever_host_is_reached_nothing_is_missing(
    balancer, hosts: list[GatewayProcess], provider: ScriptedProvider, tmp_path: Path
) -> None:
    with running(balancer(hosts), tmp_path, 0) as port:
        front = GatewayProcess(tmp_path, {})
        front.port = port
        for turn in range(8):
            assert front.ask(f"turn {turn}", user="ann").status == 200
        asked = [content for role, content in provider.messages() if role == "user"]
        assert asked == [f"turn {turn}" for turn in range(8)]
        assert all("request answered" in gateway.log for gateway in hosts), "both take requests"

        provider.plays([text("piece "), text("by piece"), finish(), done()])
        with front.stream("hi") as stream:
            assert read_until(stream, b"[DONE]").count(b"piece") == 2
        with operator(front) as client:
            assert client.call("health")

        hosts[1].stop()
        if balancer is caddy_of:  # it may have to notice
            answered = (front.ask("is it noticed?").status == 200 for _ in range(1000))
            wait_until(lambda: all(next(answered) for _ in range(6)), 60, "notice of the lost host")
        for turn in range(6):
            assert front.ask(f"after {turn}", user="ann").status == 200
