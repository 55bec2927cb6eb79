"""`agents`: who answers, in both of OpenClaw's forms."""

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
        taken: dict[str, Any] = self.schema.load(value)
        return taken

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
    primary = String("The model to ask.", check=_model_name)
    fallbacks = StringList("Models to ask when it fails, in this order.", check=_model_name)


class Stop(Setting):
    kind = "text or list of at most 4 texts"

    def load(self, value: Any) -> Any:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not 1 <= len(texts) <= 4:
            raise ValidationError(f"must be {self.kind}")
        if not all(isinstance(text, str) and text for text in texts):
            raise ValidationError(f"must be {self.kind}, none of them empty")
        return value if isinstance(value, str) else list(texts)


class ParamsSchema(Section):
    """Loads into OpenAI's own names; a name may also be spelt as OpenAI does, `max_tokens`."""

    unused = openclaw.PARAMS

    @classmethod
    def spelling(cls, key: str) -> str:
        first, *others = key.split("_")
        return first + "".join(word[:1].upper() + word[1:] for word in others)

    temperature = Float("How freely to choose words.", low=0, high=2)
    top_p = Float("The share of likely words to choose from.", low=0, high=1)
    max_tokens = Integer("The longest answer.", low=1)
    max_completion_tokens = Integer("The longest answer, reasoning included.", low=1)
    frequency_penalty = Float("Against words used often.", low=-2, high=2)
    presence_penalty = Float("Against words used at all.", low=-2, high=2)
    seed = Integer("For repeatable answers.")
    stop = Stop("Where an answer ends.")
    response_format = AnyObject("OpenAI's `response_format`.")
    reasoning_effort = Enum(
        "How long to think.",
        Literal["none", "minimal", "low", "medium", "high", "xhigh"],
        aliases={"off": "none"},
    )
    parallel_tool_calls = Boolean("Several tool calls in one turn.")


class ToolPolicySchema(Section):
    unused = openclaw.TOOLS
    profile = Enum(
        "The set of tools to begin with; `minimal` if nothing says otherwise.",
        Literal["minimal", "coding", "messaging", "full"],
        in_use=False,
    )
    allow = StringList("Only these tools and groups of tools.", in_use=False)
    also_allow = StringList("These besides the profile's.", in_use=False)
    deny = StringList("Never these; wins over everything.", in_use=False)

    @validates_schema(skip_on_field_errors=True)
    def _one_kind_of_allow(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("allow") and data.get("also_allow"):
            raise ValidationError("cannot stand beside `allow`: put all names into one of them", "alsoAllow")


class IdentitySchema(Section):
    unused = openclaw.IDENTITY
    name = String("What the agent calls itself.")
    emoji = String("Its emoji.")
    avatar = String("Its picture: a path in the workspace, a URL or a data URI.")


class AgentDefaultsSchema(Section):
    """Loads into a dict of the keys that are given, so that an agent's can be laid over the defaults'."""

    defaults = AgentSettings
    unused = openclaw.AGENT_DEFAULTS
    name = String("The agent's name for people.")
    identity = Nested(IdentitySchema)
    workspace = FilePath("The agent's folder.", check=checks.filled)
    model = ModelChoice("The model to ask; not set: see the default model below.")
    system_prompt = String("Instructions that begin every conversation.")
    params = Nested(ParamsSchema)
    tools = Nested(ToolPolicySchema)
    timeout_seconds = Float("The longest a run may take.", low=0.001, high=86400)
    max_turns = Integer("Model calls one run may make before it is stopped.", low=1, high=128, in_use=False)
    max_concurrent = Integer("Runs of this agent at the same time; any number if not set.", low=1)


class AgentSchema(AgentDefaultsSchema):
    documented_in = AgentDefaultsSchema
    unused = openclaw.AGENT
    id = String("The agent's id.", check=checks.agent_id)
    default = Boolean("The agent that answers when none is named.")


class AgentListItemSchema(AgentSchema):
    id = String("The agent's id.", check=checks.agent_id, required=True)


class AgentsSchema(Section):
    unused = openclaw.AGENTS
    defaults = Nested(AgentDefaultsSchema)
    list = ObjectList(Nested(AgentListItemSchema))
    entries = MappingField(
        "Agents by their id; the newer form of `list`.", Nested(AgentSchema), name=checks.agent_id
    )
