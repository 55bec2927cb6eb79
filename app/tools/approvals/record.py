"""An approval: somebody is asked whether one call may be made, and what became of it.

States: `pending`, then one of `allowed`, `denied`, `expired` (nobody answered in time) and `cancelled` (its
run has ended). The first answer is the last one. Times are milliseconds since 1970.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["exec", "plugin"]
State = Literal["pending", "allowed", "denied", "expired", "cancelled"]
Decision = Literal["allow-once", "allow-always", "deny"]
ResolverKind = Literal["device", "channel", "runtime", "system"]

DECISIONS: tuple[Decision, ...] = ("allow-once", "allow-always", "deny")
MAX_COMMAND = 16_384  # characters; whoever approves has to see all of it


class McpTool(msgspec.Struct, frozen=True):
    server: str
    tool: str


class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked, as it may be shown and stored: without secrets.

    `kind` exec: `command` in `directory`; `argv` if it is one program. `env_names` are the variables that the
    call sets; their values are only part of `digest`, which is another for every other call. `kind` plugin:
    any other tool; `title` and `description` say what it is about.
    """

    kind: Kind
    agent_id: str
    session_key: str = ""
    run_id: str = ""
    call_id: str = ""
    tool: str = ""
    digest: str = ""
    allowed: tuple[Decision, ...] = ("allow-once", "deny")
    # exec
    command: str = ""
    argv: tuple[str, ...] | None = None
    directory: str = ""
    env_names: tuple[str, ...] = ()
    resolved_path: str | None = None
    host: str = "gateway"
    security: str | None = None
    ask: str | None = None
    command_count: int = 0
    warnings: tuple[str, ...] = ()
    # plugin
    title: str = ""
    description: str = ""
    detail: str | None = None
    severity: str | None = None
    mcp_tool: McpTool | None = None


class Resolver(msgspec.Struct, frozen=True):
    """Who has answered: a client of the Gateway protocol (`device`), somebody over HTTP (`channel`) or at the
    terminal (`runtime`), or the gateway itself (`system`).
    """

    kind: ResolverKind
    id: str


GATEWAY = Resolver("system", "gateway")


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """`decision` and what follows are set once it is over; `reason`: `user`, `timeout`, `run-ended`…"""

    id: str
    request: ApprovalRequest
    created_at: int
    expires_at: int
    state: State = "pending"
    resolved_at: int | None = None
    decision: Decision | None = None
    reason: str | None = None
    resolver: Resolver | None = None

    @property
    def is_pending(self) -> bool:
        return self.state == "pending"


class Outcome(msgspec.Struct, frozen=True):
    """How an approval ends."""

    state: State
    reason: str
    decision: Decision | None = None
    resolver: Resolver = GATEWAY


def outcome_of(decision: Decision, resolver: Resolver) -> Outcome:
    return Outcome("denied" if decision == "deny" else "allowed", "user", decision, resolver)


EXPIRED = Outcome("expired", "timeout")
CANCELLED = Outcome("cancelled", "run-ended")


def why_over(approval: Approval) -> str:
    """What to say to somebody who decides too late."""
    if approval.state == "expired":
        return "The approval has expired: nobody answered in time. The call was not made."
    return "The approval was cancelled: its run has ended. Nothing is run any more."
