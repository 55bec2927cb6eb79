"""What a caller may do, by the Gateway protocol's own names. Pure data: transports and grants ask here."""

from __future__ import annotations

READ, WRITE, ADMIN = "operator.read", "operator.write", "operator.admin"
APPROVALS, PAIRING, QUESTIONS = "operator.approvals", "operator.pairing", "operator.questions"

ALL = frozenset({ADMIN})  # an operator, who may do everything
USE = frozenset({READ, WRITE})  # somebody who may use the gateway, but not run it


def common_scopes(granted: frozenset[str], asked: frozenset[str]) -> frozenset[str]:
    """The scopes that `granted` and `asked` both include: neither adds anything to the other."""
    return frozenset(one for one in granted | asked if has_scope(granted, one) and has_scope(asked, one))


def has_scope(granted: frozenset[str], wanted: str) -> bool:
    """Whether `granted` includes `wanted`: admin includes every scope, write includes read."""
    return ADMIN in granted or wanted in granted or (wanted == READ and WRITE in granted)
