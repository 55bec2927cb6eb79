"""`agents`, in both of OpenClaw's forms: `list` and `entries`."""

from __future__ import annotations

from typing import Any, Literal
from zoneinfo import ZoneInfo

from marshmallow import ValidationError

from app.config.agent_settings import AgentSettings, SystemPromptSettings
from app.config.schema import checks, openclaw
from app.config.schema.fields import Boolean, Enum, FilePath, Float, Integer, Setting, String, StringList
from app.config.schema.nesting import AnyObject, MappingField, Nested, ObjectList
from app.config.schema.section import Section
from app.config.schema.tools import ToolsSchema
from app.config.tool_settings import SubagentSettings
from app.model_name import ModelName


class ModelChoice(Setting):
    """`"provider/model"` or `{primary, fallbacks[]}`; loads into a dict of `primary` and `fallbacks`."""

    kind = '"provider/model" or {primary, fallbacks[]}'

    @property
    def schema(self) -> Section:
        return ModelChoiceSchema()

    def load(self, value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            return {"primary": _model_name(value)}
        if not isinstance(value, dict):
            raise ValidationError(f"must be {self.kind}")
        loaded: dict[str, Any] = self.schema.load(value)
        return loaded

    def _serialize(self, value: Any, *around: Any, **_: Any) -> Any:
        _, agent = around
        fallbacks = getattr(agent, "fallbacks", ())
        return {"primary": value, "fallbacks": list(fallbacks)} if value else None


def _model_name(text: str) -> str:
    provider, model = (part.strip() for part in ModelName.parse(text))
    if not provider or not model:
        raise ValidationError('must be "provider/model", such as "openai/gpt-4.1-mini"')
    return str(ModelName(provider.lower(), model))


class ModelChoiceSchema(Section):
    unused = frozenset({"timeoutMs"})
    primary = String("The model to use.", check=_model_name)
    fallbacks = StringList("Models to use when it fails, in this order.", check=_model_name)


class Stop(Setting):
    kind = "string or list of at most 4 strings"

    def load(self, value: Any) -> Any:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not 1 <= len(texts) <= 4:
            raise ValidationError(f"must be {self.kind}")
        if not all(isinstance(text, str) and text for text in texts):
            raise ValidationError(f"must be {self.kind}, none of them empty")
        return value if isinstance(value, str) else list(texts)


class ParamsSchema(Section):
    """Loads into OpenAI's own names. A name may also be written as OpenAI does: `max_tokens`."""

    unused = openclaw.PARAMS

    @classmethod
    def spelling(cls, key: str) -> str:
        first, *others = key.split("_")
        return first + "".join(word[:1].upper() + word[1:] for word in others)

    temperature = Float("The sampling temperature.", low=0, high=2)
    top_p = Float("Nucleus sampling: the share of probability to sample from.", low=0, high=1)
    max_tokens = Integer("The most tokens of an answer.", low=1)
    max_completion_tokens = Integer("The most tokens of an answer, with its reasoning.", low=1)
    frequency_penalty = Float("OpenAI's `frequency_penalty`.", low=-2, high=2)
    presence_penalty = Float("OpenAI's `presence_penalty`.", low=-2, high=2)
    seed = Integer("The seed, for reproducible answers.")
    stop = Stop("The stop sequences.")
    response_format = AnyObject("OpenAI's `response_format`.")
    reasoning_effort = Enum(
        "How much the model reasons before it answers.",
        Literal["none", "minimal", "low", "medium", "high", "xhigh"],
        aliases={"off": "none"},
    )
    parallel_tool_calls = Boolean("Whether the model may call several tools in one turn.")


class SystemPrompt(Setting):
    """Text, which is appended to the gateway's own, or `{mode, text}`. An empty text switches ours off."""

    kind = 'string or {mode: "append" or "replace", text}'

    def load(self, value: Any) -> SystemPromptSettings:
        mode: Any = "append"
        text = value
        if isinstance(value, dict):
            mode, text = value.get("mode", "append"), value.get("text", "")
            if unknown := value.keys() - {"mode", "text"}:
                raise ValidationError(f"has an unknown key: `{min(unknown)}`; it may have `mode` and `text`")
        if not isinstance(text, str) or mode not in ("append", "replace"):
            raise ValidationError(f"must be a {self.kind}")
        if value == "":
            mode = "replace"
        return SystemPromptSettings(text, mode)

    def dump(self, value: Any) -> Any:
        return (
            value.text if value.mode == "append" and value.text else {"mode": value.mode, "text": value.text}
        )


class IdentitySchema(Section):
    unused = openclaw.IDENTITY
    name = String("The name that the agent uses for itself.")
    emoji = String("Its emoji.")
    avatar = String("Its picture: a path in the workspace, a URL or a data URI.")


def _time_zone(text: str) -> str:
    try:
        return ZoneInfo(text.strip()).key
    except (ValueError, OSError):
        raise ValidationError('must be a time zone such as "Europe/Rome"') from None


class SubagentsSchema(Section):
    """Loads into a dict of the keys that are given."""

    defaults = SubagentSettings
    unused = openclaw.SUBAGENTS
    max_concurrent = Integer(
        "The most sub-agents at work at the same time, of all agents together.", low=1, high=100
    )
    max_children_per_agent = Integer("The most sub-agents that one session may have at work.", low=1, high=20)
    max_spawn_depth = Integer("How deep sub-agents may start further ones.", low=1, high=5)
    run_timeout_seconds = Float("The longest that one may take; 0: as its agent.", low=0, high=86400)
    archive_after_minutes = Float(
        "How long an ended one is listed and its result remembered; 0: without end.", low=0
    )
    allow_agents = StringList("The agents that may be started as sub-agents, `*` for all; if empty, itself.")
    model = String("The model of sub-agents. Not set: their agent's.", check=_model_name)


class AgentDefaultsSchema(Section):
    """Loads into a dict of the keys that are given, so that an agent's can be merged over the defaults."""

    defaults = AgentSettings
    unused = openclaw.AGENT_DEFAULTS
    name = String("The agent's display name.")
    identity = Nested(IdentitySchema)
    workspace = FilePath("The agent's folder.", check=checks.filled)
    model = ModelChoice("The model to use. Not set: the default model, see below.")
    system_prompt = SystemPrompt(
        "What the system prompt says besides the gateway's own part; with mode `replace`, in its place. An "
        "empty text: no part of the gateway's own."
    )
    params = Nested(ParamsSchema)
    tools = Nested(ToolsSchema)
    subagents = Nested(SubagentsSchema)
    user_timezone = String(
        "The time zone of the date in the system prompt. Not set: the machine's.", check=_time_zone
    )
    verbose_default = Enum(
        "What clients of protocol 3 see of tools at work: calls (`on`), results too (`full`). A session "
        "may say otherwise.",
        Literal["off", "on", "full"],
    )
    reasoning_default = Enum(
        "With `stream`, clients see the model's reasoning as it arrives. A session may say otherwise.",
        Literal["off", "on", "stream"],
    )
    timeout_seconds = Float("The longest that a run may take.", low=0.001, high=86400)
    max_turns = Integer("Model calls one run may make before it is stopped.", low=1, high=1000)
    max_concurrent = Integer(
        "The most runs of this agent at the same time, besides those that agents start; not set: no limit.",
        low=1,
    )


class AgentSchema(AgentDefaultsSchema):
    documented_in = AgentDefaultsSchema
    unused = openclaw.AGENT
    id = String("The agent's id.", check=checks.agent_id)
    default = Boolean("Whether this agent answers requests that name none.")


class AgentListItemSchema(AgentSchema):
    id = String("The agent's id.", check=checks.agent_id, required=True)


class AgentsSchema(Section):
    unused = openclaw.AGENTS
    defaults = Nested(AgentDefaultsSchema)
    list = ObjectList(Nested(AgentListItemSchema))
    entries = MappingField(
        "Agents by their id; the newer form of `list`.", Nested(AgentSchema), name=checks.agent_id
    )
