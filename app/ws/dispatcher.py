"""Finds the method of a request frame, checks the scope, and sends the response. No sockets here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from app.auth.grants import require_method
from app.errors import GatewayError, InternalError, InvalidRequest, MissingScope, Unauthorized
from app.gateway import Gateway
from app.ws.answers import Answers, Responder
from app.ws.call import LATER, Call, Handler, Peer
from app.ws.errors import FORBIDDEN, INVALID_REQUEST, ProtocolError
from app.ws.frames import RequestFrame
from app.ws.params import Params
from app.ws.presence import Presence

logger = logging.getLogger("app.ws")

OPERATOR = "operator"


class Replier(Peer, Responder, Protocol):
    """A peer that can be sent responses."""

    role: str
    answers: Answers


class Dispatcher:
    """`table` has every method there is; `peers` gives the open connections, `audience` those that get the
    events of a session, `presence` who is connected, on whichever worker.
    """

    def __init__(
        self,
        gateway: Gateway,
        table: Mapping[str, Handler],
        peers: Callable[[], list[Peer]],
        audience: Callable[[str], Sequence[Peer]],
        presence: Presence,
    ) -> None:
        self._gateway = gateway
        self._table = table
        self._peers = peers
        self._audience = audience
        self.presence = presence
        self.methods = sorted(table)

    def dispatch(self, frame: RequestFrame, peer: Replier) -> bool:
        """Handle one request and send its response. False if that is an error."""
        try:
            handle = self._allowed(frame.method, peer)
            payload = handle(self._call(frame, peer))
        except MissingScope as error:
            peer.respond_error(frame.id, _missing_scope(error, peer.protocol))
            return False
        except GatewayError as error:
            peer.respond_error(frame.id, error)
            return False
        except Exception:
            logger.exception("method %s failed on a fault of the gateway", frame.method)
            peer.respond_error(frame.id, InternalError("The gateway failed on this request."))
            return False
        if payload is not LATER:
            peer.respond(frame.id, payload)
        return True

    def _known_to(self, owner: str | None) -> list[Peer]:
        return [peer for peer in self._peers() if owner is None or peer.principal.owner == owner]

    def _allowed(self, name: str, peer: Replier) -> Handler:
        if name == "connect":
            raise InvalidRequest("connect is only valid as the first request")
        handle = self._table.get(name)
        if handle is None:
            raise InvalidRequest(f"unknown method: {name[:100]}")
        if peer.role != OPERATOR:
            raise Unauthorized(f"unauthorized role: {peer.role}")
        require_method(peer.principal, name)
        return handle

    def _call(self, frame: RequestFrame, peer: Replier) -> Call:
        return Call(
            params=Params(frame.method, frame.params),
            gateway=self._gateway,
            peer=peer,
            peers=lambda: self._known_to(peer.principal.owner),
            audience=self._audience,
            elsewhere=lambda: self.presence.elsewhere(peer.principal.owner),
            reply=lambda payload: peer.respond(frame.id, payload),
            later=lambda: peer.answers.add(frame.id, peer),
        )


def _missing_scope(error: MissingScope, protocol: int) -> ProtocolError:
    """As the clients of that version of the protocol know it (docs/websocket.md#errors)."""
    details = {"code": "MISSING_SCOPE", "missingScope": error.scope, "requiredScopes": [error.scope]}
    return ProtocolError(error.message, details, FORBIDDEN if protocol >= 4 else INVALID_REQUEST)
