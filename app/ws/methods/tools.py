"""Tools over the Gateway protocol: what there is, what a session has, and single calls."""

from __future__ import annotations

from typing import Any

from app.cancel import Cancel
from app.concurrency.background import spawn
from app.control.tools import ToolRequest, dump_output
from app.errors import GatewayError, RunAborted
from app.ws.call import LATER, Answer, Call, Handler
from app.ws.errors import dump_error

_PARAMS = frozenset(
    {"name", "args", "action", "sessionKey", "agentId", "idempotencyKey", "dryRun", "confirm", "channel"}
)


def catalog(call: Call) -> Any:
    """All tools in groups, and the profiles. Raises UnknownAgent."""
    return call.gateway.tool_calls.catalog(call.params.optional_text("agentId"))


def effective(call: Call) -> Any:
    """The tools that a session's runs have. Raises NotFound and UnknownAgent."""
    params = call.params
    key, agent_id = params.text("sessionKey"), params.optional_text("agentId")
    return call.gateway.tool_calls.effective(key, agent_id, call.owner)


def invoke(call: Call) -> Any:
    """The result of one call; a failure is in the payload (`ok: false`), not an error of the response."""
    params = call.params
    if unknown := sorted(params.given.keys() - _PARAMS):
        raise params.wrong("at root", f"unexpected property '{unknown[0]}'")
    arguments = params.given.get("args")
    if arguments is not None and not isinstance(arguments, dict):
        raise params.wrong("at /args", "must be object")
    wanted = ToolRequest(
        name=params.text("name"),
        principal=call.peer.principal,
        source="ws",
        arguments=arguments or {},
        action=params.optional_text("action"),
        agent_id=params.optional_text("agentId"),
        session_key=params.optional_text("sessionKey"),
        idempotency_key=params.optional_text("idempotencyKey"),
    )
    cancel, answer = Cancel(), call.later()
    answer.at_end(lambda: cancel.cancel(RunAborted("The connection is closed.")))
    spawn(_call, call, wanted, cancel, answer)
    return LATER


def _call(call: Call, wanted: ToolRequest, cancel: Cancel, answer: Answer) -> None:
    try:
        output = call.gateway.tool_calls.invoke(wanted, cancel)
    except GatewayError as error:
        answer.succeed({"ok": False, "toolName": wanted.name, "error": dump_error(error)})
        return
    if output.is_error:
        message = str(output.details.get("error") or output.text)
        failure = {"code": "TOOL_ERROR", "message": message}
        answer.succeed({"ok": False, "toolName": wanted.name, "error": failure})
        return
    answer.succeed({"ok": True, "toolName": wanted.name, "output": dump_output(output)})


TOOLS: dict[str, Handler] = {
    "tools.catalog": catalog,
    "tools.effective": effective,
    "tools.invoke": invoke,
}
