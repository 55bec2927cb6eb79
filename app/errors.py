"""Every error the gateway raises on purpose.

An error carries a stable `code` and a message that tells its reader what to do. It never carries a
status: each transport has one table from code to status (`app/http/errors.py`), and a test walks both.

    GatewayError
    ├── InvalidRequest                  the caller can correct it
    │   ├── InvalidJson · MissingMessage · UnsupportedValue · UnknownAgent · InvalidSessionKey
    │   ├── ContextLengthExceeded · BodyTooLarge · BodyTimeout · UnsupportedMediaType
    │   ├── NotFound · ModelNotFound · EndpointDisabled · MethodNotAllowed
    │   ├── NoToolsAllowed · IdempotencyKeyReused · SessionConflict · EventsGone (nobody keeps them any more)
    │   └── ApprovalResolved · ApprovalOver     decided otherwise before; expired or cancelled
    ├── Unauthorized · Forbidden · OriginNotAllowed · HostNotAllowed · MissingScope · ApprovalRequired
    ├── TooManyRequests · SessionBusy · Overloaded · AuthRateLimited     try again after a while
    ├── ProviderError · UpstreamError · UpstreamTruncated · UpstreamUnavailable      the model's side failed
    │   └── UpstreamTimeout · UpstreamRateLimited · InsufficientQuota · ToolChoiceUnmet
    ├── ServiceUnavailable · StorageUnavailable · ClusterUnavailable · Draining · LeaseLost (of a run)
    ├── RunAborted · MaxTurns · ToolLoop · ToolTimeout     somebody stopped it; no answer was come to
    └── InternalError · ConfigError     a fault of ours; of the operator's file, which is never on the wire
"""

from __future__ import annotations


class GatewayError(Exception):
    """The root. `param` names the offending field, `retry_after` is in seconds."""

    code = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after


class InvalidRequest(GatewayError):
    code = "invalid_request"


class InvalidJson(InvalidRequest):
    code = "invalid_json"


class MissingMessage(InvalidRequest):
    code = "missing_message"


class UnknownAgent(InvalidRequest):
    code = "unknown_agent"


class InvalidSessionKey(InvalidRequest):
    code = "invalid_session_key"


class UnsupportedValue(InvalidRequest):
    code = "unsupported_value"


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


class BodyTooLarge(InvalidRequest):
    code = "body_too_large"


class BodyTimeout(InvalidRequest):
    code = "body_timeout"


class UnsupportedMediaType(InvalidRequest):
    code = "unsupported_media_type"


class NotFound(InvalidRequest):
    code = "not_found"


class ModelNotFound(InvalidRequest):
    code = "model_not_found"


class EndpointDisabled(InvalidRequest):
    code = "endpoint_disabled"


class MethodNotAllowed(InvalidRequest):
    code = "method_not_allowed"


class NoToolsAllowed(InvalidRequest):
    code = "no_tools_allowed"


class EventsGone(InvalidRequest):
    code = "events_gone"


class ApprovalResolved(InvalidRequest):
    code = "approval_already_resolved"


class ApprovalOver(InvalidRequest):
    code = "approval_expired"


class IdempotencyKeyReused(InvalidRequest):
    code = "idempotency_key_reused"


class SessionConflict(InvalidRequest):
    code = "session_conflict"


class Unauthorized(GatewayError):
    code = "unauthorized"


class Forbidden(GatewayError):
    code = "forbidden"


class OriginNotAllowed(Forbidden):
    code = "origin_not_allowed"


class HostNotAllowed(Forbidden):
    code = "host_not_allowed"


class MissingScope(Forbidden):
    """`scope` is the one that the caller lacks."""

    code = "missing_scope"

    def __init__(self, message: str, *, scope: str = "") -> None:
        super().__init__(message)
        self.scope = scope


class ApprovalRequired(Forbidden):
    code = "approval_required"


class TooManyRequests(GatewayError):
    code = "too_many_requests"


class SessionBusy(TooManyRequests):
    code = "session_busy"


class Overloaded(TooManyRequests):
    code = "overloaded"


class AuthRateLimited(TooManyRequests):
    code = "auth_rate_limited"


class ProviderError(GatewayError):
    """The model's side failed. `retries`: how often the same call is worth making again at once."""

    code = "provider_error"
    retries = 0


class UpstreamError(ProviderError):
    """The provider failed or answered nonsense; `retries` is set where trying again may help."""

    code = "upstream_error"

    def __init__(self, message: str, *, retries: int = 0) -> None:
        super().__init__(message)
        self.retries = retries


class UpstreamTruncated(ProviderError):
    code = "upstream_truncated"
    retries = 1


class UpstreamUnavailable(ProviderError):
    code = "service_unavailable"
    retries = 2


class UpstreamTimeout(ProviderError):
    code = "timeout"


class UpstreamRateLimited(ProviderError):
    code = "rate_limit_exceeded"
    retries = 2


class InsufficientQuota(ProviderError):
    code = "insufficient_quota"


class ToolChoiceUnmet(ProviderError):
    code = "tool_choice_unmet"


class ServiceUnavailable(GatewayError):
    code = "service_unavailable"


class StorageUnavailable(ServiceUnavailable): ...


class Draining(ServiceUnavailable): ...


class ClusterUnavailable(ServiceUnavailable): ...


class LeaseLost(ServiceUnavailable): ...


class RunAborted(GatewayError):
    code = "run_aborted"


class MaxTurns(GatewayError):
    code = "max_turns"


class ToolLoop(GatewayError):
    code = "tool_loop"


class ToolTimeout(GatewayError):
    code = "tool_timeout"


class InternalError(GatewayError):
    code = "internal_error"


class ConfigError(GatewayError):
    """The configuration is wrong. `problems` has one line for each mistake, with its key path."""

    code = "config_error"

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems
