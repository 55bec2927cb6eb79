"""Why a model stopped, in the words of any server, as one of OpenAI's four reasons, or as a failure.

Only known good reasons are a success. Servers pass on the words of the models behind them: `MAX_TOKENS` and
`SAFETY` are Gemini's, `end_turn` Anthropic's, `insufficient_system_resource` DeepSeek's, `sensitive` GLM's.
"""

from __future__ import annotations

import re
from typing import Literal

from app.errors import UpstreamError
from app.events.types import FinishReason

MAX_SHOWN = 80  # characters of an unknown reason in our message

_NO_REASON = frozenset(("null", "none", "nil", "undefined", "unspecified", "finish_reason_unspecified"))
_PREFIX = re.compile("^(finish|stop)_reason_")
_STOP = frozenset(
    (
        "stop",
        "stopped",
        "stop_token",
        "stop_sequence",
        "stop_sequences",
        "stop_string",
        "stop_str",
        "stop_word",
        "stopping_word",
        "eos",
        "eos_token",
        "eos_found",
        "stopped_eos",
        "end",
        "end_turn",
        "endturn",
        "end_of_turn",
        "end_of_text",
        "end_of_sequence",
        "end_of_sentence",
        "endoftext",
        "im_end",
        "eot",
        "eot_id",
        "eom_id",
        "complete",
        "completed",
        "finish",
        "finished",
        "done",
        "normal",
        "success",
    )
)
# Searched in this order in words that are none of those above, joined by `_`.
_MEANINGS: tuple[tuple[re.Pattern[str], FinishReason | Literal["failure"]], ...] = (
    (
        re.compile(r"malformed|unexpected|invalid|too_many|missing|error_|_error|^error$|fail|abort|cancel"),
        "failure",
    ),
    (
        re.compile(
            r"content_filter|filter|safety|recitation|block|prohibit|spii|sensitive|refus|moderat|guardrail"
            r"|policy|harm|violat|unsafe|toxic|censor|armor|jailbreak|^risk$|^language$"
        ),
        "content_filter",
    ),
    (
        re.compile(r"length|max_|maxtoken|token_limit|context_window|truncat|incomplete|^(stopped_)?limit$"),
        "length",
    ),
    (re.compile(r"^(tool|function)_?(calls?|use)$"), "tool_calls"),
    (
        re.compile(
            r"(^|_)(stop|stopping|stopped|eos|eot|end_of)_(token|id|word|str|string|seq|sequence|criteria|text"
            r"|turn|message)s?(_id)?(_(found|reached|hit|matched))?$"
        ),
        "stop",
    ),
)


def read_finish_reason(given: str) -> FinishReason | Literal["failure"] | None:
    """What a `finish_reason` means; None if it is a way to say that there is none yet.

    A reason that is not known is a failure: what it says may be that the answer is not whole.
    """
    if given == "stop":
        return "stop"
    word = re.sub(r"[^a-z0-9]+", "_", re.sub(r"([a-z])([A-Z])", r"\1_\2", given).lower()).strip("_")
    word = _PREFIX.sub("", word)
    if word in _NO_REASON or not given.strip():
        return None
    if word in _STOP or given == "</s>":
        return "stop"
    return next((meaning for pattern, meaning in _MEANINGS if pattern.search(word)), "failure")


def reason_to_keep(given: str, known: FinishReason | None) -> FinishReason | None:
    """The reason of an answer that had the reason `known` so far, None if there is none yet.

    Raises UpstreamError if what is `given` now is a failure.
    """
    reason = read_finish_reason(given)
    if reason == "failure":
        raise UpstreamError(f"The provider ended its answer early: {shown(given)}.")
    if reason is None or (reason == "stop" and known is not None):
        return known  # some servers say "stop" behind the real reason
    return reason


def shown(reason: str) -> str:
    """A reason as part of a message of ours."""
    return ascii(reason[:MAX_SHOWN])
