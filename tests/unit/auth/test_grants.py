"""Who may do what, and who gets which scopes."""

from __future__ import annotations

import pytest

from app.auth.authenticate import Caller, authenticate
from app.auth.grants import is_granted, may_choose_model, require, require_model_choice
from app.auth.limits import AttemptLimiter
from app.auth.principal import LOCAL_OPERATOR, Principal
from app.auth.scopes import ADMIN, ALL, APPROVALS, PAIRING, READ, USE, WRITE, has_scope
from app.config.settings import AuthSettings, GatewaySettings, TrustedProxySettings
from app.errors import Forbidden, MissingScope

READER, WRITER = Principal("token", scopes=frozenset({READ})), Principal("token", scopes=frozenset({WRITE}))
OPERATOR = Principal("token", scopes=ALL)


@pytest.mark.parametrize(
    ("granted", "included"),
    [(READ, {READ}), (WRITE, {READ, WRITE}), (APPROVALS, {APPROVALS}), (PAIRING, {PAIRING})],
)
def test_what_a_scope_includes(granted: str, included: set[str]):
    scopes = (READ, WRITE, ADMIN, APPROVALS, PAIRING)
    assert {scope for scope in scopes if has_scope(frozenset({granted}), scope)} == included
    assert all(has_scope(ALL, scope) for scope in (*scopes, "operator.of.the.future"))


def test_a_missing_scope_is_named():
    require(WRITER, READ)
    require(Principal("none"), None)
    with pytest.raises(MissingScope, match=r"^missing scope: operator\.write$") as caught:
        require(READER, WRITE)
    assert caught.value.scope == WRITE
    assert (is_granted(READER, READ), is_granted(READER, WRITE), is_granted(READER, None)) == (
        True,
        False,
        True,
    )


def test_only_an_operator_chooses_the_model():
    assert may_choose_model(OPERATOR)
    assert may_choose_model(LOCAL_OPERATOR)
    require_model_choice(OPERATOR)
    assert not may_choose_model(WRITER)
    with pytest.raises(Forbidden, match="x-openclaw-model"):
        require_model_choice(Principal("trusted-proxy", "ada", USE))


def principal(auth: AuthSettings, **headers: str) -> Principal:
    gateway = GatewaySettings(auth=auth, trusted_proxies=("10.0.0.1",))
    return authenticate(Caller("10.0.0.1", headers.get), gateway, AttemptLimiter())


def test_the_secret_makes_an_operator_and_a_proxy_a_user():
    assert principal(AuthSettings(mode="none")).scopes == ALL
    token = AuthSettings(mode="token", token="a-secret-of-the-test")
    assert principal(token, Authorization="Bearer a-secret-of-the-test").scopes == ALL
    proxy = AuthSettings(mode="trusted-proxy", trusted_proxy=TrustedProxySettings(user_header="X-User"))
    ada = principal(proxy, **{"X-User": "ada"})
    assert (ada.user, ada.scopes) == ("ada", USE)
