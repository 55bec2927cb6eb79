"""The routes of runs: list, show, follow, cancel."""

from __future__ import annotations

import base64
import re
from typing import Any

import orjson

from app.auth.grants import require_method
from app.control.run_pages import Wanted, load_state
from app.control.run_results import result_of_events, result_of_messages
from app.control.run_views import RunView
from app.errors import EventsGone, NotFound, UnsupportedValue
from app.exchange import GatewayRequest, GatewayResponse, current_request, json_answer
from app.http.access import require_principal
from app.http.chat_completions.encoder import dump_completion
from app.http.query import count_param, text_param
from app.http.request_body import optional_object
from app.http.run_api.encoder import dump_run, dump_whole
from app.http.run_api.stream import load_position, stream_events
from app.http.switches import CHAT_COMPLETIONS, SwitchedBlueprint
from app.routing.operator import resolve_session_key
from app.runs.idempotency import check_key
from app.sessions.run_rows import RunPosition

DEFAULT_RUNS, MAX_RUNS = 50, 200
MAX_BODY = 64 * 1024
_PLACE = re.compile(r"(\d{1,15}):(.+)", re.ASCII | re.DOTALL)
CANCELLED = "The run was cancelled."

bp = SwitchedBlueprint("runs", __name__, CHAT_COMPLETIONS)
bp.before_request(require_principal)


@bp.get("/v1/runs")
def list_runs() -> GatewayResponse:
    """A page of the caller's runs, the newest first."""
    request = _allowed("agent.wait")
    owner = request.principal.owner
    session, after = text_param(request, "session"), text_param(request, "after")
    if session is not None:
        session = resolve_session_key(session, None, request.gateway.settings, owner)
    key, ids = text_param(request, "key"), None
    if key is not None:
        ids = request.gateway.all_runs.of_key(check_key(key, "key"), owner, session)
    wanted = Wanted(owner, session, load_state(text_param(request, "state")), ids)
    limit = count_param(request, "limit", DEFAULT_RUNS, MAX_RUNS)
    page = request.gateway.all_runs.pages.page(wanted, limit, None if after is None else _load_cursor(after))
    runs = [dump_run(one, request.principal) for one in page.runs]
    next_page = None if page.next is None else _dump_cursor(page.next)
    return _answer({"runs": runs, "hasMore": next_page is not None, "next": next_page})


@bp.get("/v1/runs/<path:run_id>")
def get_run(run_id: str) -> GatewayResponse:
    """One run, with its answer once it has one. Raises NotFound."""
    return _show(_find(_allowed("agent.wait"), run_id))


@bp.get("/v1/runs/<path:run_id>/events")
def follow_run(run_id: str) -> GatewayResponse:
    """The run's events from a position on. Raises NotFound, UnsupportedValue and EventsGone."""
    request = _allowed("agent.wait")
    position = load_position(request)
    events = request.gateway.all_runs.events(_find(request, run_id))
    if events is None:
        raise EventsGone(
            "The events of this run are not kept any more. Read how it ended, and its answer, "
            f"at /v1/runs/{run_id[:80]}."
        )
    return stream_events(events, position, request)


@bp.post("/v1/runs/<path:run_id>/cancel")
def cancel_run(run_id: str) -> GatewayResponse:
    """Stop the run, and show it; one that has ended is shown as it is. Raises NotFound."""
    request = _allowed("chat.abort")
    optional_object(request, MAX_BODY)
    found = _find(request, run_id)
    if not found.has_ended:
        request.gateway.all_runs.stop([found.id], CANCELLED)
        found = _find(request, run_id)
    return _show(found)


def _allowed(method: str) -> GatewayRequest:
    """The request, of a caller who may call that method of the Gateway protocol. Raises MissingScope."""
    request = current_request()
    require_method(request.principal, method)
    return request


def _find(request: GatewayRequest, run_id: str) -> RunView:
    found = request.gateway.all_runs.find(run_id, request.principal.owner)
    if found is None:
        raise NotFound(f"There is no run {run_id[:80]!r}.")
    return found


def _show(run: RunView) -> GatewayResponse:
    request = current_request()
    return _answer(dump_whole(run, request.principal, _completion(request, run)))


def _completion(request: GatewayRequest, run: RunView) -> dict[str, Any] | None:
    """The answer as a chat completion; None if there is none, or it is not known any more."""
    if run.state != "completed":
        return None
    if run.is_stored:
        result = result_of_messages(run, request.gateway.store.run_index.messages(run.id))
    else:
        events = request.gateway.all_runs.events(run)
        result = None if events is None else result_of_events(events.log)
    if result is None:
        return None
    run_id = run.id_for(request.principal.owner)
    return dump_completion(run_id, run.created_at // 1000, f"openclaw/{run.agent_id}", result)


def _dump_cursor(place: RunPosition) -> str:
    return base64.urlsafe_b64encode(f"{place.accepted_at}:{place.run_id}".encode()).decode().rstrip("=")


def _load_cursor(text: str) -> RunPosition:
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        decoded = ""
    found = _PLACE.fullmatch(decoded)
    if found is None:
        raise UnsupportedValue("`after` must be the `next` of an earlier page.", param="after")
    return RunPosition(int(found[1]), found[2])


def _answer(document: dict[str, Any]) -> GatewayResponse:
    return json_answer(orjson.dumps(document))
