"""What app/http and app/exchange.py rest on, though the libraries do not promise it.

Proved on gunicorn 27.0.1, gevent 26.9.0, Werkzeug 3.1.9 and Flask 3.1.3. If a test fails after an update, the
named function has to change with the library.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import gevent
import gevent.event
import gevent.socket
import pytest
from flask import Flask, request
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import IterUnreader, Unreader
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import WebsocketMismatch

from app.exchange import GatewayApp, GatewayRequest, current_request
from app.http.connection import ClientWatch, limit_writes
from app.http.request_body import _is_buffered

# gunicorn: the readers behind `wsgi.input` (request_body._is_buffered)


def body_of(unreader: Unreader, length: int) -> Body:
    return Body(LengthReader(unreader, length))


def test_the_buffer_tells_how_much_was_read_along_with_the_headers() -> None:
    unreader = IterUnreader(iter([b"de"]))
    unreader.unread(b"abc")
    source = body_of(unreader, 5)
    assert _is_buffered(source, 3)
    assert not _is_buffered(source, 4)
    assert source.read(5) == b"abcde"
    assert not _is_buffered(source, 1)


def test_any_other_source_counts_as_not_buffered() -> None:
    assert not _is_buffered(io.BytesIO(b"abc"), 3)


# gevent: the event loop's watchers, and the plain socket inside a gevent socket (connection.ClientWatch)

Pair = tuple[gevent.socket.socket, gevent.socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = gevent.socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_client_that_disconnects_is_noticed_once(pair: Pair) -> None:
    ours, theirs = pair
    left = gevent.event.Event()
    calls: list[int] = []
    with ClientWatch({"gunicorn.socket": ours}, lambda: (calls.append(1), left.set())):
        gevent.sleep(0.01)
        assert calls == []
        theirs.close()
        assert left.wait(30)
        gevent.sleep(0.01)
    assert calls == [1]


def test_a_byte_of_the_next_request_is_left_to_the_server_and_ends_the_watch(pair: Pair) -> None:
    ours, theirs = pair
    calls: list[int] = []
    with ClientWatch({"gunicorn.socket": ours}, lambda: calls.append(1)):
        theirs.sendall(b"G")
        gevent.sleep(0.01)
        theirs.close()
        gevent.sleep(0.01)
    assert calls == []
    assert ours.recv(2) == b"G"


def test_nothing_is_noticed_after_the_watch_has_ended(pair: Pair) -> None:
    ours, theirs = pair
    calls: list[int] = []
    watch = ClientWatch({"gunicorn.socket": ours}, lambda: calls.append(1))
    watch.start()
    watch.stop()
    watch.stop()
    theirs.close()
    gevent.sleep(0.01)
    assert calls == []


def test_the_plain_socket_inside_never_blocks(pair: Pair) -> None:
    ours, _ = pair
    with pytest.raises(BlockingIOError):
        ours._sock.recv(1)


def test_without_a_socket_nothing_is_watched_or_limited() -> None:
    limit_writes({}, 1.5)
    with ClientWatch({}, lambda: None):
        gevent.sleep(0)


def test_writes_are_limited_by_the_time_out_of_the_socket(pair: Pair) -> None:
    ours, _ = pair
    limit_writes({"gunicorn.socket": ours}, 1.5)
    assert ours.gettimeout() == 1.5


# Flask and Werkzeug: the request behind its proxy (exchange.current_request), views that are called as they
# are (exchange.GatewayApp.ensure_sync), and the error of a path that was not matched (gate, errors)


@pytest.fixture
def app() -> Flask:
    app = GatewayApp("contracts")
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.add_url_rule("/here", "here", lambda: "", methods=["POST"])
    app.add_url_rule("/socket", "socket", lambda: "", websocket=True)
    return app


def test_the_current_request_is_the_object_itself(app: Flask) -> None:
    with app.test_request_context("/here", method="POST"):
        assert type(current_request()) is GatewayRequest
        assert current_request() is request._get_current_object()  # type: ignore[attr-defined]


def test_views_and_hooks_are_not_wrapped(app: Flask) -> None:
    def view() -> str:
        return ""

    assert app.ensure_sync(view) is view


def test_what_was_not_matched_is_known_before_any_hook_runs(app: Flask) -> None:
    with app.test_request_context("/here", method="GET"):
        assert request.url_rule is None
        error = request.routing_exception
        assert isinstance(error, MethodNotAllowed)
        assert error.valid_methods == ["POST"]
        assert app.url_map.bind("").match("/here", "POST")[0] == "here"
    with app.test_request_context("/socket"):
        assert request.url_rule is None
        assert isinstance(request.routing_exception, WebsocketMismatch)


# Werkzeug: what an adapter for one request must be given (exchange.GatewayApp.create_url_adapter)


@pytest.mark.parametrize(
    "path", ["/", "/v1/models", "/v1/models/openclaw%2Fmain", "/caf\u00c3\u00a9", "//health", ""]
)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:18789", "[::1]:80", "Example.ORG", "a_b.example"])
def test_an_adapter_matches_as_flasks_own(path: str, host: str) -> None:
    app = GatewayApp("test")
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "a=1",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "HTTP_HOST": host,
        "wsgi.url_scheme": "http",
    }
    ours = app.create_url_adapter(GatewayRequest(environ))
    flasks = Flask.create_url_adapter(app, GatewayRequest(environ))
    assert ours is not None
    assert flasks is not None
    for name in (
        "path_info",
        "script_name",
        "default_method",
        "query_args",
        "url_scheme",
        "websocket",
        "subdomain",
    ):
        assert getattr(ours, name) == getattr(flasks, name), name


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "[::1", "b\x00", ""])
def test_a_host_that_is_none_is_handled_as_flask_does(host: str) -> None:
    """Flask answers 400 to some of them."""
    answers = []
    for app in (GatewayApp("test"), Flask("test")):
        app.add_url_rule("/", view_func=lambda: "here")
        answers.append(app.test_client().get("/", environ_overrides={"HTTP_HOST": host}).status_code)
    assert answers[0] == answers[1]


def test_an_upgrade_is_matched_as_flask_does() -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_UPGRADE": "websocket",
        "wsgi.url_scheme": "http",
    }
    adapter = GatewayApp("test").create_url_adapter(GatewayRequest(environ))
    assert adapter is not None
    assert adapter.websocket
