"""Which URLs of Redis are refused, before anything connects, and that no message has the password."""

from __future__ import annotations

import pytest
import redis

from app.cluster.url import check_redis_url, redis_options, shown_redis_url
from app.errors import ConfigError

GOOD = [
    "redis://localhost",
    "redis://localhost:6379",
    "redis://localhost:6379/",
    "redis://localhost:6379/15",
    "redis://:canary@localhost:6379/0",
    "redis://user:canary@[::1]:6379/1",
    "rediss://:canary@ec2-1-2-3-4.compute-1.amazonaws.com:12345",
    "rediss://h:1/0?ssl_cert_reqs=none",
    "rediss://h:1/0?ssl_ca_certs=/etc/ssl/redis.pem&ssl_check_hostname=false",
    "redis://h?db=3&client_name=gateway",
    "unix:///run/redis/redis.sock",
    "unix://user:canary@/run/redis.sock?db=2",
]
BAD = [
    ("http://h", "must begin with redis://"),
    ("redis:", "names no host"),
    ("redis://", "names no host"),
    ("redis://:canary@:6379", "names no host"),
    ("redis://h:canary", "no valid host and port"),
    ("redis://h:99999", "no valid host and port"),
    ("redis://h:0", "port 0"),
    ("redis://:can/ary@h:1", "no valid host and port"),
    ("redis://:can#ary@h:1", "no valid host and port"),
    ("redis://h/#canary", "`#`"),
    ("redis://[::1", "no valid host and port"),
    ("redis://h/canary", "number of a database"),
    ("redis://h/0/1", "number of a database"),
    ("redis://h/-1", "number of a database"),
    ("redis://h/٣", "number of a database"),
    ("redis://h/99999999", "number of a database"),
    ("redis://h?db=x", "`db`"),
    ("redis://h?canary=1", "not supported"),
    ("redis://h?socket_timeout=1", "not supported"),
    ("redis://h?ssl_cert_reqs=none", "needs TLS"),
    ("rediss://h?ssl_cert_reqs=perhaps", "`ssl_cert_reqs`"),
    ("unix://run/redis.sock", "three slashes"),
    ("unix://", "three slashes"),
    ("unix:///", "three slashes"),
]


@pytest.mark.parametrize("url", GOOD)
def test_a_url_that_can_be_used(url: str) -> None:
    check_redis_url(url)
    redis.Redis.from_url(url, **redis_options(url, ssl_verify=False)).close()
    assert "canary" not in shown_redis_url(url)


@pytest.mark.parametrize(("url", "why"), BAD)
def test_a_url_that_cannot(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=r"^redis\.url \(or REDIS_URL\) ") as refused:
        check_redis_url(url)
    assert why in refused.value.message
    assert "canary" not in refused.value.message
    assert "can/ary" not in refused.value.message


def test_no_redis_is_fine() -> None:
    check_redis_url(None)


def test_certificates_are_verified_unless_told_otherwise() -> None:
    assert redis_options("rediss://h", ssl_verify=True) == {}
    assert redis_options("redis://h", ssl_verify=False) == {}
    assert redis_options("rediss://h", ssl_verify=False) == {"ssl_cert_reqs": "none"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rediss://user:canary@h:6380/2?ssl_cert_reqs=none", "rediss://h:6380/2"),
        ("redis://:can@ary@h", "redis://h"),
        ("unix://:canary@/run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_what_is_shown_of_it(url: str, shown: str) -> None:
    assert shown_redis_url(url) == shown
