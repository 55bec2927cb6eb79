"""One count and one log line for each answered request; health checks are only counted.

The line of a request that started a run is also the last line about that run.
"""

from __future__ import annotations

import logging
import time

from app.exchange import GatewayRequest, GatewayResponse
from app.http.health import HEALTH_PATHS
from app.logs.lines import log_event
from app.runs.log_lines import describe_end
from app.runs.run import Run

logger = logging.getLogger("app.http")

UNKNOWN_ROUTE = "unknown"


def record_answer(request: GatewayRequest, response: GatewayResponse) -> None:
    """Count the answer now, and log it when the server has taken its last byte."""
    route = request.url_rule.rule if request.url_rule is not None else UNKNOWN_ROUTE
    status = response.status_code
    request.gateway.metrics.requests.add(route, str(status))
    if request.path not in HEALTH_PATHS and logger.isEnabledFor(logging.INFO):
        response.call_on_close(lambda: _log_end(request, status))


def _log_end(request: GatewayRequest, status: int) -> None:
    fields = {
        "method": request.method,
        "path": request.path,
        "status": status,
        "client": request.remote_addr,
        "request_id": request.id,
    }
    if (run := request.run) is not None:
        if isinstance(run, Run):
            fields |= describe_end(run)
            run.log_finish = not run.ended  # it ends after its answer: then it has a line of its own
        else:
            fields |= {"run_id": run.id, "agent": run.agent_id, "session_key": run.session_key}
        if request.is_repeated:
            fields["repeated"] = True
    fields["total_ms"] = round((time.monotonic() - request.started_at) * 1000, 1)
    log_event(logger, logging.INFO, "request answered", **fields)
