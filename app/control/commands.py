"""What an operator may type in a chat instead of a message: commands, and words that stop."""

from __future__ import annotations

from collections.abc import Callable

from app import VERSION
from app.auth.grants import require_method
from app.auth.principal import Principal
from app.config.settings import Settings
from app.control.models import Models
from app.control.session_settings import require_changes
from app.control.sessions import Sessions
from app.errors import GatewayError
from app.routing.operator import agent_of_key
from app.sessions.base import SessionStore

COMMANDS = {
    "help": "Show this list.",
    "status": "Show the session, its model and what is going on.",
    "new": "Start over: the conversation so far is deleted.",
    "reset": "The same as /new.",
    "stop": "Stop what is going on in this session.",
    "model": "Show the session's model; /model provider/model sets it, /model default undoes that.",
    "compact": "Delete all but the newest messages.",
}
# The method of the Gateway protocol that does the same: a command needs its scope.
COMMAND_METHODS = {
    "help": "commands.list",
    "status": "status",
    "new": "sessions.reset",
    "reset": "sessions.reset",
    "stop": "chat.abort",
    "model": "sessions.patch",
    "compact": "sessions.compact",
}
STOP_WORDS = frozenset({"stop", "esc", "abort", "wait", "exit", "interrupt"})
MAX_KEPT = 40  # messages that /compact keeps


def is_stop_word(message: str) -> bool:
    """Whether the whole message is one of STOP_WORDS."""
    return message.strip().lower().rstrip(".!") in STOP_WORDS


def find_command(message: str) -> tuple[str, str] | None:
    """(name, rest) of a command; None for a message that only begins with a slash."""
    head, _, rest = message.strip().partition(" ")
    name = head[1:].rstrip(":").lower()
    return (name, rest.strip()) if head.startswith("/") and name in COMMANDS else None


class Commands:
    """Runs commands in a session, which is named by its canonical key."""

    def __init__(
        self, settings: Callable[[], Settings], store: SessionStore, sessions: Sessions, models: Models
    ) -> None:
        self._settings = settings
        self._store = store
        self._sessions = sessions
        self._models = models

    def run(self, name: str, rest: str, key: str, principal: Principal) -> str:
        """The text to answer with. `/stop` is not among them: it concerns the followers of runs, too.

        Raises MissingScope, Forbidden, ServiceUnavailable and StorageUnavailable.
        """
        require_method(principal, COMMAND_METHODS[name])
        match name:
            case "new" | "reset":
                self._sessions.empty(key)
                return "The session starts over."
            case "model":
                return self._model(rest, key, principal)
            case "compact":
                kept = self._sessions.compact(key, MAX_KEPT).kept
                return f"The session is compacted: {kept} messages are kept."
            case "status":
                return self._status(key)
            case _:
                return "\n".join(f"/{command}: {meaning}" for command, meaning in COMMANDS.items())

    def _model(self, wanted: str, key: str, principal: Principal) -> str:
        if not wanted:
            return f"This session's model is {self._model_of(key)}."
        require_changes(principal, {"model": wanted})
        if wanted.lower() in ("default", "reset", "off"):
            self._sessions.patch(key, {"model": None})
            return f"This session uses its agent's model again: {self._model_of(key)}."
        try:
            self._models.known(wanted)
        except GatewayError as error:
            return error.message
        self._sessions.patch(key, {"model": wanted})
        return f"This session uses {wanted} from now on."

    def _model_of(self, key: str) -> str:
        settings = self._settings()
        agent = settings.agent(agent_of_key(key, settings)) or settings.default_agent
        return self._models.of(agent.id, self._store.runs.settings_of(key).get("model"))

    def _status(self, key: str) -> str:
        active = self._sessions.active_runs(key)
        return (
            f"OpenClaw Gateway {VERSION}\nSession: {key}\nModel: {self._model_of(key)}\n"
            f"Going on: {len(active) or 'nothing'}"
        )
