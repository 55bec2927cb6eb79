"""Every method that is served: what `connect` lists in `features` and the dispatcher looks up.

The scope of each is in `app.auth.method_scopes`.
"""

from __future__ import annotations

from app.ws.call import Handler
from app.ws.feed import Feed
from app.ws.methods.agent import AgentMethods
from app.ws.methods.approval_rules import APPROVAL_RULES
from app.ws.methods.approvals import APPROVALS
from app.ws.methods.chat import ChatMethods
from app.ws.methods.config import CONFIG
from app.ws.methods.logs import LOGS
from app.ws.methods.models import MODELS
from app.ws.methods.questions import QUESTIONS
from app.ws.methods.sessions import SESSIONS
from app.ws.methods.status import STATUS
from app.ws.methods.stubs import STUBS
from app.ws.methods.tools import TOOLS
from app.ws.methods.usage import USAGE


def build_table(feed: Feed) -> dict[str, Handler]:
    """By the method's name."""
    return {
        **AgentMethods(feed).table(),
        **ChatMethods(feed).table(),
        **APPROVALS,
        **APPROVAL_RULES,
        **CONFIG,
        **STUBS,
        **LOGS,
        **MODELS,
        **QUESTIONS,
        **SESSIONS,
        **STATUS,
        **TOOLS,
        **USAGE,
    }
