"""No URL, name or redirect makes the gateway connect to a private address."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.config.settings import ImageSettings
from app.errors import InvalidRequest
from app.media.addresses import is_public
from app.media.fetch import Network
from app.media.image_url import fetch_image
from app.media.location import Location
from tests.unit.media.image_host import ImageHost, ok, png, redirect

X = Location.field("x")
LIMITS = ImageSettings(allow_url=True, timeout_seconds=5)
BLOCKED = "the image cannot be fetched: its host is not on the public internet."


def refusal(url: str, network: Network, limits: ImageSettings = LIMITS) -> str:
    with pytest.raises(InvalidRequest) as caught:
        fetch_image(url, X, limits, network)
    return caught.value.message.removeprefix("`x`: ")


class Names:
    """A resolver that counts its calls; `answers` are returned in turn, the last one again and again."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


HOSTS = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "[fd00:ec2::254]",
         "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "１27.0.0.1", "127。0。0。1", "127.0.0.1."]  # noqa: RUF001 # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_a_private_address_is_never_connected_to(host: str) -> None:
    assert refusal(f"http://{host}:8080/", Network()) == BLOCKED


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["2606:4700::1", "::1"], ["garbage"]]
)
def test_a_name_with_one_private_address_is_refused(addresses: list[str]) -> None:
    assert refusal("https://images.test/", Network(resolve=Names(addresses))) == BLOCKED


def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to(host: ImageHost) -> None:
    host.pages["/a.png"] = ok(png())
    names = Names(["127.0.0.1"], ["127.0.0.66"])
    network = Network(resolve=names, is_public=lambda address: address == "127.0.0.1")
    assert fetch_image(host.url("/a.png"), X, LIMITS, network).content == png()
    assert names.asked == ["images.test"]


def test_a_name_that_resolves_differently_after_a_redirect_is_refused(host: ImageHost) -> None:
    host.pages["/a.png"] = redirect("/b.png")
    host.pages["/b.png"] = ok(png())
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    network = Network(resolve=names, is_public=lambda address: address == "127.0.0.1")
    assert refusal(host.url("/a.png"), network) == BLOCKED
    assert host.connections == 1


REDIRECTED = ["http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "//127.0.0.2:6379/", "http://[::1]/",
              "https://[::ffff:a9fe:a9fe]/", "http://[fd00:ec2::254]/"]  # fmt: skip


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", REDIRECTED)
def test_a_redirect_to_a_private_address_is_refused(
    location: str, status: int, host: ImageHost, network: Network
) -> None:
    host.pages["/a.png"] = redirect(location, status)
    guarded = replace(network, is_public=lambda address: address == "127.0.0.1" or is_public(address))
    assert refusal(host.url("/a.png"), guarded) == BLOCKED
    assert host.connections == 1


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://images.test/a.png", "gopher://127.0.0.1:6379/_FLUSHALL",
     "data:image/png;base64,AA==", "http:images.test/a.png",
     "http://user:pass@images.test/a.png", "http://0x7f.1/", "http://2130706433/", "http://images.test:25/",
     "http:///a.png", "http://images.test\\@127.0.0.1/"],
)  # fmt: skip
def test_a_redirect_to_an_unfit_url_is_refused(location: str, host: ImageHost, network: Network) -> None:
    host.pages["/a.png"] = redirect(location)
    refusal(host.url("/a.png"), network)
    assert host.connections == 1


def test_redirects_are_followed_up_to_the_limit(host: ImageHost, network: Network) -> None:
    host.pages["/0"] = redirect(host.url("/1", host="other.test"), 301)
    host.pages["/1"] = redirect("2", 307)
    host.pages["/2"] = redirect("/gr\u00c3\u00b6\u00c3\u009fe.png", 308)  # UTF-8, as servers send it
    host.pages["/gr%C3%B6%C3%9Fe.png"] = ok(png())
    assert fetch_image(host.url("/0"), X, LIMITS, network).content == png()
    assert [request.split("\r\n")[1].split(":")[1].strip() for request in host.requests] == [
        "images.test",
        "other.test",
        "other.test",
        "other.test",
    ]
    assert refusal(host.url("/0"), network, replace(LIMITS, max_redirects=2)) == (
        "the image cannot be fetched: it is redirected more than 2 times."
    )
    assert "more than 0 times" in refusal(host.url("/0"), network, replace(LIMITS, max_redirects=0))


def test_a_redirect_loop_ends(host: ImageHost, network: Network) -> None:
    host.pages["/a"] = redirect("/a")
    assert "more than 3 times" in refusal(host.url("/a"), network)
    assert host.connections == 4


def test_cookies_are_not_kept(host: ImageHost, network: Network) -> None:
    host.pages["/a"] = redirect("/b\r\nSet-Cookie: id=1; Path=/")
    host.pages["/b"] = ok(png())
    fetch_image(host.url("/a"), X, LIMITS, network)
    assert "cookie" not in host.requests[1].lower()


def test_the_allowlist_holds_on_every_hop(host: ImageHost, network: Network) -> None:
    host.pages["/a"] = redirect(host.url("/b", host="other.test"))
    host.pages["/b"] = ok(png())
    listed = replace(LIMITS, url_allowlist=("images.test",))
    assert "urlAllowlist" in refusal(host.url("/a"), network, listed)
    assert "urlAllowlist" in refusal(host.url("/b", host="other.test"), network, listed)
    assert host.connections == 1
    both = replace(LIMITS, url_allowlist=("images.test", "*.test"))
    assert fetch_image(host.url("/a"), X, both, network).content == png()


def test_the_allowlist_does_not_allow_private_addresses() -> None:
    limits = replace(LIMITS, url_allowlist=("localhost", "127.0.0.1"))
    assert refusal("http://localhost:8080/", Network(), limits) == BLOCKED
    assert refusal("http://127.0.0.1:8080/", Network(), limits) == BLOCKED
