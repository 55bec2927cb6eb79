"""Flask's application, request and response classes, with what the gateway adds to them.

What belongs to a request is kept on the request object: `flask.g` is reached through three layers of proxies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from flask import Flask, Request, Response, request
from werkzeug.routing import MapAdapter

if TYPE_CHECKING:
    from app.auth.authenticate import Caller
    from app.auth.principal import Principal
    from app.gateway import Gateway
    from app.runs.repeats import AnyRun


class GatewayRequest(Request):
    """`gateway`, `caller`, `id` and `started_at` (`time.monotonic()`) are set by `http.gate` before anything
    else; `principal` by `require_principal`, `run` by the route that starts one, `is_repeated` if an earlier
    request had started it (docs/idempotency.md).
    """

    gateway: Gateway
    caller: Caller
    id: str = ""
    started_at: float = 0.0
    principal: Principal
    run: AnyRun | None = None
    is_repeated: bool = False
    unauthenticated: object | None = None  # a WebSocket connection's entry until it has authenticated

    @property
    def is_upgrade(self) -> bool:
        """Whether the request asks for WebSocket: any other `Upgrade` is ignored, as RFC 9110 7.8 allows."""
        upgrade: str | None = self.environ.get("HTTP_UPGRADE")
        return upgrade is not None and upgrade.lower() == "websocket"


def sent_header(environ: Mapping[str, Any], name: str) -> str | None:
    """A header's text as WSGI has it (Latin-1); cheaper than `GatewayRequest.headers`.

    It takes the environment, because a method that its own request keeps would tie both into a cycle, and all
    that a request holds would wait for the garbage collector.
    """
    value: str | None = environ.get(_environ_key(name))
    return value


@lru_cache(maxsize=256)
def _environ_key(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"


class GatewayResponse(Response):
    """`extra` headers are sent as they are: code that adds one must make sure that it has no line break."""

    extra: tuple[tuple[str, str], ...] = ()

    def get_wsgi_response(
        self, environ: dict[str, Any]
    ) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        body, status, headers = super().get_wsgi_response(environ)
        return body, status, [*headers, *self.extra]


# A name or an address, and a port. IPv6 addresses are in brackets (RFC 3986 section 3.2.2).
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?", re.ASCII)


SESSIONS = "/v1/sessions/"  # below it, paths have session keys in them
ENCODED_SLASH = "\x1f"  # stands for a `%2F` of such a path; no session key has a control character


def with_encoded_slashes(path: str, raw_uri: str) -> str:
    """A path below SESSIONS, decoded, with its encoded slashes marked: `raw_uri` still has them."""
    _, _, rest = raw_uri.partition("?")[0].partition(SESSIONS)
    if not rest:  # a server that does not say, or letters that need not have been encoded
        return path
    pieces = re.split("%2f", rest, flags=re.IGNORECASE)
    decoded = [unquote_to_bytes(piece).decode("latin-1").replace(ENCODED_SLASH, "\x1e") for piece in pieces]
    return SESSIONS + ENCODED_SLASH.join(decoded)


class GatewayApp(Flask):
    request_class = GatewayRequest
    response_class = GatewayResponse

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Flask's own checks each view and hook, at each call, for being a coroutine function. None is."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Flask's own parses the host's name several times, which routes that depend on the path do not need.

        A WebSocket upgrade, which matches other routes, and a Host header that is none go Flask's way.
        """
        environ = {} if request is None else request.environ
        if "HTTP_UPGRADE" in environ or not _HOST.fullmatch(environ.get("HTTP_HOST", "")):
            return super().create_url_adapter(request)
        path = environ.get("PATH_INFO", "")
        if path.startswith(SESSIONS):
            path = with_encoded_slashes(path, environ.get("RAW_URI", ""))
        return MapAdapter(
            self.url_map,
            server_name="localhost",
            script_name=environ.get("SCRIPT_NAME") or "/",
            subdomain="",
            url_scheme=environ["wsgi.url_scheme"],
            path_info=path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace"),
            default_method=environ["REQUEST_METHOD"],
            query_args=environ.get("QUERY_STRING", ""),
        )


def current_request() -> GatewayRequest:
    """The current request itself: every attribute read through Flask's proxy costs several calls.

    `_get_current_object` is the documented way of Werkzeug's `LocalProxy`, in spite of its underscore.
    """
    found: GatewayRequest = request._get_current_object()  # type: ignore[attr-defined]
    return found


def json_answer(body: bytes, status: int = 200) -> GatewayResponse:
    """A response with serialised JSON."""
    return GatewayResponse(body, status, content_type="application/json")
