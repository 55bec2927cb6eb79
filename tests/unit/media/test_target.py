"""How a URL is parsed, and which ones are refused before a name is resolved."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from app.media.target import Target, Unfetchable, load_target

MAPPED = IPv6Address("::ffff:7f00:1")  # its text differs between Python releases

READ = {
    "http://example.com": Target(False, "example.com", 80, "/"),
    "https://Example.COM/Cat.png?a=B#c": Target(True, "example.com", 443, "/Cat.png?a=B"),
    "HTTPS://example.com./": Target(True, "example.com", 443, "/"),
    "https://example.com:8443/x": Target(True, "example.com", 8443, "/x"),
    "https://example.com:/x": Target(True, "example.com", 443, "/x"),
    "http://example.com:443/x": Target(False, "example.com", 443, "/x"),
    "https://my_bucket.s3.example.com/a%20b": Target(True, "my_bucket.s3.example.com", 443, "/a%20b"),
    "https://example.com/größe.png?ü=1": Target(True, "example.com", 443, "/gr%C3%B6%C3%9Fe.png?%C3%BC=1"),
    "https://bücher.example/": Target(True, "xn--bcher-kva.example", 443, "/"),
    "http://1.2.3.4/": Target(False, "1.2.3.4", 80, "/"),
    "http://１.2.3.4/": Target(False, "1.2.3.4", 80, "/"),  # noqa: RUF001
    "http://127。0。0。1/": Target(False, "127.0.0.1", 80, "/"),
    "http://[2606:4700:0::1111]:8080/": Target(False, "2606:4700::1111", 8080, "/"),
    "http://[::ffff:127.0.0.1]/": Target(False, str(MAPPED), 80, "/"),
    "http://1.2.3.4.example.com/": Target(False, "1.2.3.4.example.com", 80, "/"),
}  # fmt: skip

REFUSED = [
    # other schemes, and none
    "file:///etc/passwd", "ftp://example.com/a.png", "gopher://example.com/", "//example.com/", "example.com",
    "http:example.com", "http:///a.png", "http://", "jar:http://example.com/",
    # unusual spellings of IP addresses
    "http://127.1/", "http://127.0.1/", "http://0x7f.1/", "http://0x7f000001/", "http://2130706433/",
    "http://0177.0.0.1/", "http://127.0.0.01/", "http://127.0.0.0x1/", "http://0/", "http://0x/",
    "http://1.2.3.4.5/", "http://256.1.1.1/", "http://example.1/", "http://[::1", "http://[1.2.3.4]/",
    "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://::1/", "http://[::1]evil.test/",
    # user information
    "http://user:secret@example.com/", "http://user@example.com/", "http://@example.com/",
    "http://example.com:80@127.0.0.1/", "http://example.com%40127.0.0.1/", "http://a@b@c/",
    # characters that parsers treat differently
    "http://example.com\\@127.0.0.1/", "http://127.0.0.1\\.example.com/", "http://exam ple.com/",
    "http://exam\tple.com/", "http://example.com/\r\nHost: x", "http://example.com/\x00", "http://%31%32%37.0.0.1/",
    "http://example.com/ a.png", "http://ex\u2100mple.com/", "http://-x.example/", "http://a..b/", "http://./",
    f"http://{'a' * 64}.example/", f"http://{'a.' * 127}aa/", "http://*.example.com/", "http://exa<mple.com/",
    # ports
    "http://example.com:22/", "http://example.com:25/", "http://example.com:0/", "http://example.com:65536/",
    "http://example.com:-1/", "http://example.com:8o/", "http://example.com:80:80/",
]  # fmt: skip


@pytest.mark.parametrize("url", READ)
def test_a_url_is_read(url: str) -> None:
    assert load_target(url, ()) == READ[url]


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_is_refused(url: str) -> None:
    with pytest.raises(Unfetchable):
        load_target(url, ())


ALLOWLIST = ("Images.example.com", "*.cdn.example", "bücher.example", "1.2.3.4", "[2606:4700::1111]", "*", "")


@pytest.mark.parametrize(
    "host",
    ["images.example.com", "IMAGES.example.com.", "a.cdn.example", "a.b.cdn.example", "xn--bcher-kva.example",
     "1.2.3.4", "[2606:4700:0::1111]"],
)  # fmt: skip
def test_a_host_on_the_allowlist_is_accepted(host: str) -> None:
    load_target(f"https://{host}/a.png", ALLOWLIST)


@pytest.mark.parametrize(
    "host",
    ["example.com", "a.images.example.com", "images.example.com.evil.test", "cdn.example", "acdn.example",
     "evil.test", "1.2.3.40"],
)  # fmt: skip
def test_a_host_that_is_not_on_the_allowlist_is_refused(host: str) -> None:
    with pytest.raises(Unfetchable, match="urlAllowlist"):
        load_target(f"https://{host}/a.png", ALLOWLIST)


def test_the_authority_is_that_of_the_host_header() -> None:
    assert load_target("https://[2606:4700::1111]:443/", ()).authority == "[2606:4700::1111]"
    assert load_target("http://example.com:8080/", ()).authority == "example.com:8080"
    assert load_target("http://Example.com:8080/x?y", ()).url == "http://example.com:8080/x?y"
