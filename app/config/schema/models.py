"""`models`: the providers, and the facts about each of their models."""

from __future__ import annotations

from typing import Any, Literal

from marshmallow import ValidationError, post_load, validates_schema

from app.config.apis import APIS, DEFAULT_API, ProviderApi
from app.config.schema import checks, openclaw
from app.config.schema.fields import (
    Boolean,
    Enum,
    FilePath,
    Float,
    Integer,
    Milliseconds,
    Secret,
    Setting,
    String,
    StringList,
)
from app.config.schema.nesting import AnyObject, MappingField, Nested, ObjectList, plain
from app.config.schema.section import Section
from app.config.settings import ModelSettings, ProviderSettings, ProviderTimeouts

_NOT_SUPPORTED = (
    "anthropic-messages",
    "azure-openai-responses",
    "bedrock-converse-stream",
    "github-copilot",
    "google-generative-ai",
    "google-vertex",
    "openai-chatgpt-responses",
    "openai-codex-responses",
    "openai-responses",
    "pi-messages",
)


class Api(Enum):
    """A provider's wire format. OpenClaw's other formats are refused with a hint."""

    def __init__(self, doc: str) -> None:
        super().__init__(doc, ProviderApi, aliases={"ollama": DEFAULT_API})

    def load(self, value: Any) -> str:
        if value in _NOT_SUPPORTED:
            raise ValidationError(
                'is not supported yet; use "openai-completions", which this provider very likely has too'
                " (Anthropic: https://api.anthropic.com/v1)"
            )
        return super().load(value)


class CostSchema(Section):
    unused = openclaw.COST
    input = Float("US dollars for a million input tokens.", low=0)
    output = Float("US dollars for a million output tokens.", low=0)


def _modality(text: str) -> str:
    if text not in ("text", "image", "audio", "video"):
        raise ValidationError('must be "text" or "image"')
    return text


class ModelSchema(Section):
    makes = ModelSettings
    unused = openclaw.MODEL
    id = String("The model's id at the provider.", check=checks.filled, required=True)
    name = String("Its display name.")
    api = Api("The same as the provider's `api`.")
    input = StringList('What it accepts: `"text"`, `"image"`.', check=_modality)
    context_window = Integer("Its context window in tokens.", low=1)
    max_tokens = Integer("The most tokens it can generate.", low=1)
    reasoning = Boolean("Whether it reasons before it answers.")
    cost = Nested(CostSchema)
    compat = AnyObject("What its server supports, with OpenClaw's names.")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> ModelSettings:
        # A provider has one wire format for all its models; this key is only checked.
        data.pop("api", None)
        return ModelSettings(**data)


class TimeoutsSchema(Section):
    makes = ProviderTimeouts
    connect = Milliseconds("To connect.", low=1, data_key="connectMs")
    first_token = Milliseconds("Until the first token.", low=1, data_key="firstTokenMs")
    idle = Milliseconds("Between two tokens.", low=1, data_key="idleMs")
    total = Milliseconds("For the whole call; no bound if not set.", low=1, data_key="totalMs")


class StepCallSchema(Section):
    id = String("The call's id; generated if not set.")
    name = String("The tool's name.", check=checks.filled, required=True)
    arguments = Setting("An object, or the JSON text that the model would send.")


class StepErrorSchema(Section):
    status = Integer("The HTTP status.", low=400, high=599, required=True)
    message = String("The provider's error message.")
    code = String("The provider's error code.")
    retry_after = Float("Seconds in `Retry-After`.", low=0)


class StepUsageSchema(Section):
    prompt_tokens = Integer("Prompt tokens.", low=0)
    completion_tokens = Integer("Completion tokens.", low=0)


def _true(value: bool) -> bool:
    if not value:
        raise ValidationError("must be true; leave the key out otherwise")
    return value


class StepSchema(Section):
    """One step of a script, with exactly one key. Loads into the step as it is written."""

    text = String("A piece of the answer.")
    reasoning = String("A piece of the reasoning before it.")
    pause_ms = Float("Wait that many milliseconds.", low=0, high=86_400_000)
    tool_call = Nested(StepCallSchema)
    error = Nested(StepErrorSchema)
    cut = Boolean("The connection breaks.", check=_true)
    hang = Boolean("The provider sends nothing more.", check=_true)
    finish = Enum("The finish reason.", Literal["stop", "length", "tool_calls", "content_filter"])
    usage = Nested(StepUsageSchema)


class Step(Setting):
    kind = "object with one key"

    @property
    def schema(self) -> Section:
        return StepSchema()

    def load(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) != 1:
            names = ", ".join(f"`{field.data_key}`" for field in self.schema.fields.values())
            raise ValidationError(f"must be an object with exactly one of {names}")
        self.schema.load(value)
        self._check_arguments(value)
        step: dict[str, Any] = plain(value)
        return step

    def _check_arguments(self, value: dict[str, Any]) -> None:
        arguments = value.get("toolCall", {}).get("arguments", {})
        if not isinstance(arguments, dict | str):
            raise ValidationError({"toolCall": {"arguments": ["must be an object or text"]}})


class TlsSchema(Section):
    ca_file = FilePath(
        "A PEM file with certificate authorities to trust besides the public ones, `SSL_CERT_FILE` and "
        "`NODE_EXTRA_CA_CERTS`.",
        check=checks.filled,
        data_key="caFile",
    )


class ProviderSchema(Section):
    """Loads into a dict of the keys that are given, so that they can be merged over the catalogue's."""

    defaults = ProviderSettings
    unused = openclaw.PROVIDER
    api = Api("Its wire format; `openai-completions` if not set.")
    base_url = String(
        "Its base URL, with the version; `/chat/completions` is added. A query is kept.",
        check=checks.base_url,
    )
    api_key = Secret("Its key, or the name of the environment variable that has it.")
    headers = MappingField(
        "Headers to send with each request; those of the connection, such as `Host`, stay the gateway's own.",
        String("A header's value.", secret=True, check=checks.header_value),
        name=checks.header_name,
    )
    proxy = String(
        'The HTTP proxy to use, or `"direct"`; if not set, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` count.',
        check=checks.proxy,
    )
    tls = Nested(TlsSchema, group=True)
    timeout_ms = Float("The longest that one call may take; the same as `timeouts.totalMs`.", low=1)
    timeout_seconds = Float("The same in seconds.", low=0.001)
    timeouts = Nested(TimeoutsSchema)
    models = ObjectList(Nested(ModelSchema))
    scripts = MappingField(
        "For api `scripted`: by the name of a model, the steps it plays.",
        ObjectList(Step("One step.")),
    )

    @validates_schema(skip_on_field_errors=True)
    def _model_ids_are_unique(self, data: dict[str, Any], **_: Any) -> None:
        seen: set[str] = set()
        for index, model in enumerate(data.get("models", ())):
            if model.id in seen:
                raise ValidationError({"models": {index: {"id": ["is listed twice"]}}})
            seen.add(model.id)

    @validates_schema(skip_on_field_errors=True)
    def _scripts_belong_to_scripted(self, data: dict[str, Any], **_: Any) -> None:
        if "scripts" in data and not APIS[data.get("api", DEFAULT_API)].has_scripts:
            raise ValidationError('needs `api: "scripted"` beside it', "scripts")


class ModelsSchema(Section):
    unused = openclaw.MODELS
    mode = Enum("Whether `providers` are added to the catalogue or replace it.", Literal["merge", "replace"])
    providers = MappingField("The providers by name.", Nested(ProviderSchema), name=checks.provider_name)
