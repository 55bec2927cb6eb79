"""What app/providers/http/transport.py rests on, though the libraries do not promise it.

Proved on geventhttpclient 2.6.1, gevent 26.9.0 and greenlet 3.5.6. If a test here fails after an update, the
transport has to change with the library.
"""

from __future__ import annotations

import gevent
import gevent.event
import gevent.socket
import pytest
from geventhttpclient.response import HTTPParseError, HTTPResponse

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Twice: a\r\nX-Twice: b\r\n"


class Thrown(Exception):
    pass


# geventhttpclient: `HTTPResponse` as a parser, without its client


def test_the_parser_collects_the_body_in_a_bytearray_that_may_be_emptied():
    parser = HTTPResponse("POST")
    parser.feed(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    assert type(parser._body_buffer) is bytearray
    assert parser._body_buffer == b"hello"
    parser._body_buffer.clear()
    parser.feed(b"6\r\n world\r\n")
    assert parser._body_buffer == b" world"
    assert not parser.message_complete
    parser.feed(b"0\r\n\r\n")
    assert parser.message_complete
    assert not parser.should_close()


def test_the_parser_tells_headers_in_any_case_and_repeated_ones_as_a_list():
    parser = HTTPResponse("POST")
    assert not parser.headers_complete
    parser.feed(HEAD + b"Content-Length: 5\r\n\r\n")
    assert parser.headers_complete
    assert parser.get_code() == 200
    assert parser.get("content-type") == "text/plain"
    assert parser.get("x-twice") == ["a", "b"]
    assert parser.get("x-none") is None


def test_the_parser_goes_on_to_the_answer_after_an_interim_one():
    parser = HTTPResponse("POST")
    parser.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert parser.headers_complete
    assert parser.get_code() == 100
    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert parser.get_code() == 200
    assert parser.message_complete


def test_the_parser_is_told_with_no_bytes_that_the_connection_has_ended():
    until_the_end = HTTPResponse("POST")
    until_the_end.feed(HEAD + b"\r\nhello")
    assert not until_the_end.message_complete
    until_the_end.feed(b"")
    assert until_the_end.message_complete
    assert until_the_end.should_close()
    cut = HTTPResponse("POST")
    cut.feed(HEAD + b"Content-Length: 5\r\n\r\nhel")
    with pytest.raises(HTTPParseError):
        cut.feed(b"")


def test_the_parser_refuses_what_is_not_http():
    with pytest.raises(HTTPParseError):
        HTTPResponse("POST").feed(b"SSH-2.0-OpenSSH_9.6\r\n")


def test_the_parser_calls_on_message_begin_for_each_answer_with_the_status_of_the_one_before():
    begun: list[int] = []

    class Parser(HTTPResponse):
        def _on_message_begin(self) -> None:
            begun.append(self.get_code())
            if len(begun) > 2:
                raise HTTPParseError("enough")
            super()._on_message_begin()

    parser = Parser("POST")
    with pytest.raises(HTTPParseError, match="enough"):
        parser.feed(b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 1\r\n\r\nx" + HEAD)
    assert begun == [0, 100, 200]
    assert (parser.message_complete, parser._body_buffer, parser.should_close()) == (True, b"x", True)


# gevent: throwing into a greenlet that waits


def test_a_throw_from_the_loop_interrupts_a_read_and_leaves_the_socket_usable():
    ours, theirs = gevent.socket.socketpair()
    caught: list[object] = []

    def read() -> None:
        try:
            ours.recv(1)
        except Thrown as error:
            caught.append(error)
        caught.append(ours.recv(1))

    with ours, theirs:
        reader = gevent.spawn(read)
        gevent.sleep(0)  # it waits now
        error = Thrown()
        gevent.get_hub().loop.run_callback(reader.throw, error)
        assert caught == [], "not at once: the caller goes on first"
        gevent.sleep(0)
        assert caught == [error]
        theirs.sendall(b"x")
        reader.join(30)
    assert caught == [error, b"x"]


def test_a_callback_of_the_loop_can_be_taken_back_also_after_it_has_run():
    ran: list[int] = []
    loop = gevent.get_hub().loop
    taken_back, left = loop.run_callback(ran.append, 1), loop.run_callback(ran.append, 2)
    taken_back.stop()
    gevent.sleep(0)
    assert ran == [2]
    left.stop()
