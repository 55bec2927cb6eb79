"""The error of a run that failed, made again from what its last event has kept of it."""

from __future__ import annotations

from collections.abc import Iterator

from app.errors import GatewayError, InternalError


def error_from_code(
    code: str, message: str, *, param: str | None = None, retry_after: float | None = None
) -> GatewayError:
    """The error, of the most general class with that code.

    Of an unknown code (written by a newer version) it is an InternalError with the message.
    """
    cls = _CLASS_OF_CODE.get(code, InternalError)
    error = cls.__new__(cls)
    GatewayError.__init__(error, message, param=param, retry_after=retry_after)
    return error


def _classes_below(cls: type[GatewayError]) -> Iterator[type[GatewayError]]:
    """All of them, the more general ones first."""
    yield from cls.__subclasses__()
    for one in cls.__subclasses__():
        yield from _classes_below(one)


_CLASS_OF_CODE: dict[str, type[GatewayError]] = {}
for _class in _classes_below(GatewayError):
    _CLASS_OF_CODE.setdefault(_class.code, _class)
