"""`agents`, in both of OpenClaw's forms: `list` and `entries`."""

from __future__ import annotations

from typing import Any, Literal

from marshmallow import ValidationError, validates_schema

from app.config.schema import checks, openclaw
from app.config.schema.fields import Boolean, Enum, FilePath, Float, Integer, Setting, String, StringList
from app.config.schema.nesting import AnyObject, MappingField, Nested, ObjectList
from app.config.schema.section import Section
from app.config.settings import AgentSettings
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


class ToolPolicySchema(Section):
    unused = openclaw.TOOLS
    profile = Enum(
        "The set of tools to start from; `minimal` if not set.",
        Literal["minimal", "coding", "messaging", "full"],
        in_use=False,
    )
    allow = StringList("Allow only these tools and groups of tools.", in_use=False)
    also_allow = StringList("Allow these in addition to the profile's.", in_use=False)
    deny = StringList("Never allow these; takes precedence over everything else.", in_use=False)

    @validates_schema(skip_on_field_errors=True)
    def _one_kind_of_allow(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("allow") and data.get("also_allow"):
            raise ValidationError("cannot be used with `allow`: put all names into one of them", "alsoAllow")


class IdentitySchema(Section):
    unused = openclaw.IDENTITY
    name = String("The name that the agent uses for itself.")
    emoji = String("Its emoji.")
    avatar = String("Its picture: a path in the workspace, a URL or a data URI.")


class AgentDefaultsSchema(Section):
    """Loads into a dict of the keys that are given, so that an agent's can be merged over the defaults."""

    defaults = AgentSettings
    unused = openclaw.AGENT_DEFAULTS
    name = String("The agent's display name.")
    identity = Nested(IdentitySchema)
    workspace = FilePath("The agent's folder.", check=checks.filled)
    model = ModelChoice("The model to use. Not set: the default model, see below.")
    system_prompt = String("The system prompt of every conversation.")
    params = Nested(ParamsSchema)
    tools = Nested(ToolPolicySchema)
    timeout_seconds = Float("The longest that a run may take.", low=0.001, high=86400)
    max_turns = Integer("Model calls one run may make before it is stopped.", low=1, high=128, in_use=False)
    max_concurrent = Integer("The most runs of this agent at the same time; not limited if not set.", low=1)


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
