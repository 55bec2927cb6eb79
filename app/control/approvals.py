"""What approvers see and decide: the calls that wait, what became of others, and the document of rules.

Whoever holds the scope `operator.approvals` sees and decides all of it; a user whom a trusted proxy names,
only what concerns its own sessions. The scope itself is asked for by the transports.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, get_args

from app.auth.principal import Principal
from app.config.settings import Settings
from app.config.shown.redact import SecretsOf
from app.errors import InvalidRequest, NotFound, UnsupportedValue
from app.logs.lines import log_event
from app.sessions.keys import is_visible
from app.tools.approvals.base import DocumentStore
from app.tools.approvals.document import EMPTY, AllowlistEntry, ApprovalsDocument, hash_of, load_document
from app.tools.approvals.record import Approval, ApprovalRequest, Decision, Kind, Resolver
from app.tools.approvals.service import ApprovalService

logger = logging.getLogger("app.approvals")


class Approvals:
    """`settings` gives the present settings."""

    def __init__(
        self, settings: Callable[[], Settings], service: ApprovalService, document: DocumentStore
    ) -> None:
        self._settings = settings
        self._document = document
        self._secrets_of = SecretsOf()
        self.service = service

    def pending(self, principal: Principal, kind: Kind | None = None) -> Sequence[Approval]:
        """Those that the caller may decide, oldest first."""
        found = [one for one in self.service.pending() if _is_for(principal, one)]
        return [one for one in found if kind is None or one.request.kind == kind]

    def get(self, principal: Principal, approval_id: str, kind: Kind | None = None) -> Approval:
        """That one, over or not. Raises NotFound."""
        found = self.service.get(approval_id)
        if not _is_for(principal, found) or (kind is not None and found.request.kind != kind):
            raise NotFound(f"There is no approval {approval_id[:80]!r}.")
        return found

    def history(
        self, principal: Principal, limit: int, before: str | None = None, kind: Kind | None = None
    ) -> tuple[Sequence[Approval], str | None]:
        """Those that are over, newest first, and what to give as `before` for the next page, if there is one.

        A page may have fewer than `limit`: others' are left out.
        """
        page = self.service.history(limit + 1, before, kind)
        more = page[limit - 1].id if len(page) > limit else None
        return [one for one in page[:limit] if _is_for(principal, one)], more

    def resolve(
        self,
        principal: Principal,
        approval_id: str,
        decision: str,
        resolver: Resolver,
        kind: Kind | None = None,
    ) -> tuple[Approval, bool]:
        """Decide it; see `ApprovalService.resolve`. Raises UnsupportedValue, too."""
        known = load_decision(decision)
        self.get(principal, approval_id, kind)
        return self.service.resolve(approval_id, known, resolver)

    def request(self, request: ApprovalRequest, seconds: float, approval_id: str | None = None) -> Approval:
        """Ask, for a client of its own. Raises InvalidRequest: there is one of that id."""
        if approval_id is not None:
            try:
                self.service.get(approval_id)
            except NotFound:
                pass
            else:
                raise InvalidRequest(f"There is an approval with the id {approval_id[:80]!r} already.")
        return self.service.begin(request, seconds, approval_id)

    def secrets(self) -> set[str]:
        """What must not be shown of a command."""
        return self._secrets_of(self._settings())

    @property
    def timeout_seconds(self) -> float:
        return self._settings().tools.exec.approval_timeout_seconds

    # The document

    @property
    def place(self) -> str:
        """Where the document is, for people."""
        return self._document.place

    def document(self) -> ApprovalsDocument | None:
        """None if nobody has written one yet."""
        return self._document.read()

    def set_document(self, value: Any, base_hash: str | None) -> ApprovalsDocument:
        """Replace it. Raises InvalidRequest, also if `base_hash` is not that of the present one."""
        new = load_document(value)

        def change(present: ApprovalsDocument) -> ApprovalsDocument:
            if base_hash is not None and base_hash != hash_of(present):
                raise InvalidRequest(
                    "The approvals have changed since they were read. Read them again, and change those."
                )
            return new

        written = self._document.update(change)
        log_event(logger, logging.INFO, "approvals document written", agents=len(written.agents))
        return written

    def grants(self) -> Sequence[tuple[str, AllowlistEntry]]:
        """What was allowed for always, each with its agent."""
        document = self.document() or EMPTY
        return [
            (agent_id, entry)
            for agent_id, agent in document.agents.items()
            for entry in agent.allowlist
            if entry.is_grant
        ]

    def revoke(self, grant_id: str) -> bool:
        """Take a grant back. False if there is none of that id."""
        if not any(entry.id == grant_id for _, entry in self.grants()):
            return False
        self._document.update(lambda document: document.without_entry(grant_id))
        log_event(logger, logging.INFO, "grant revoked", grant=grant_id)
        return True


def load_decision(word: str) -> Decision:
    """Raises UnsupportedValue."""
    if word not in get_args(Decision):
        raise UnsupportedValue("`decision` must be one of: allow-once, allow-always, deny.", param="decision")
    return word  # type: ignore[return-value]


def _is_for(principal: Principal, approval: Approval) -> bool:
    owner = principal.owner
    return owner is None or is_visible(approval.request.session_key, owner)
