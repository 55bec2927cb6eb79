"""What an operator may type in a chat instead of a message: commands, and words that stop."""

from __future__ import annotations

from app import VERSION
from app.errors import GatewayError
from app.gateway import Gateway
from app.ws.methods.session_changes import end_runs

COMMANDS = {
    "help": "Show this list.",
    "status": "Show the session, its model and what is going on.",
    "new": "Begin anew: the conversation so far is forgotten.",
    "reset": "The same as /new.",
    "stop": "Stop what is going on in this session.",
    "model": "Show the session's model; /model provider/model sets it, /model default undoes that.",
    "compact": "Forget all but the newest messages.",
}
STOP_WORDS = frozenset({"stop", "esc", "abort", "wait", "exit", "interrupt"})
COMPACT_LINES = 40


def is_stop_word(message: str) -> bool:
    """A whole message that is nothing but such a word."""
    return message.strip().lower().rstrip(".!") in STOP_WORDS


def find_command(message: str) -> tuple[str, str] | None:
    """(name, rest) of a command; None for words that only begin with a slash."""
    head, _, rest = message.strip().partition(" ")
    name = head[1:].rstrip(":").lower()
    return (name, rest.strip()) if head.startswith("/") and name in COMMANDS else None


def run_command(name: str, rest: str, key: str, gateway: Gateway) -> str:
    """What to answer. `/stop` is the caller's, who knows the runs' followers."""
    match name:
        case "new" | "reset":
            end_runs(gateway, key, "The session begins anew.")
            gateway.store.index.reset(key)
            return "The session begins anew."
        case "model":
            return _model(rest, key, gateway)
        case "compact":
            end_runs(gateway, key, "The session is being compacted.")
            kept = gateway.store.transcripts.compact(key, COMPACT_LINES)
            return f"The session is compacted: {kept} messages are kept."
        case "status":
            return _status(key, gateway)
        case _:
            return "\n".join(f"/{command}: {meaning}" for command, meaning in COMMANDS.items())


def _model(wanted: str, key: str, gateway: Gateway) -> str:
    agent_id = key.split(":", 2)[1] if key.startswith("agent:") else gateway.settings.default_agent.id
    if not wanted:
        return f"This session's model is {_model_of(key, gateway)}."
    if wanted.lower() in ("default", "reset", "off"):
        gateway.store.index.patch(key, agent_id, {"model": None})
        return f"This session uses its agent's model again: {_model_of(key, gateway)}."
    try:
        gateway.known_model(wanted)
    except GatewayError as error:
        return error.message
    gateway.store.index.patch(key, agent_id, {"model": wanted})
    return f"This session uses {wanted} from now on."


def _model_of(key: str, gateway: Gateway) -> str:
    override = gateway.store.runs.settings_of(key).get("model")
    agent_id = key.split(":", 2)[1] if key.startswith("agent:") else ""
    agent = gateway.settings.agent(agent_id) or gateway.settings.default_agent
    return override or agent.model or gateway.default_model()[0]


def _status(key: str, gateway: Gateway) -> str:
    active = [run for run in gateway.runs.active if run.session_key == key]
    return (
        f"OpenClaw Gateway {VERSION}\nSession: {key}\nModel: {_model_of(key, gateway)}\n"
        f"Going on: {len(active) or 'nothing'}"
    )
