"""Every method there is, in one literal table: what `features` lists and scopes are enforced from."""

from __future__ import annotations

from app.ws.call import Method
from app.ws.ledger import Ledger
from app.ws.methods.agent import AgentMethods
from app.ws.methods.chat import ChatMethods


def build_table(ledger: Ledger) -> dict[str, Method]:
    return {
        **AgentMethods(ledger).table(),
        **ChatMethods(ledger).table(),
    }
