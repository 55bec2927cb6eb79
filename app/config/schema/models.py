"""`models`: who serves the models, and what is known of each model."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, post_load, validates_schema

from app.config.schema import checks, openclaw
from app.config.schema.fields import Flag, Milliseconds, Number, OneOf, Secret, Setting, Text, Texts, Whole
from app.config.schema.nesting import Anything, Keyed, Many, Nested, plain
from app.config.schema.section import Section
from app.config.settings import ModelSettings, ProviderSettings, ProviderTimeouts

APIS = ("openai-completions", "local", "builtin", "scripted")
_NOT_SERVED = (
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


class Api(OneOf):
    """How to speak with a provider. OpenClaw's other ways are refused with a sentence that helps."""

    def __init__(self, doc: str) -> None:
        super().__init__(doc, *APIS, aliases={"ollama": "openai-completions"})

    def take(self, value: Any) -> str:
        if value in _NOT_SERVED:
            raise ValidationError(
                'is not served yet; use "openai-completions", which this provider very likely has too'
                " (Anthropic: https://api.anthropic.com/v1)"
            )
        return super().take(value)


class CostSchema(Section):
    unused = openclaw.COST
    input = Number("US dollars for a million input tokens.", low=0)
    output = Number("US dollars for a million output tokens.", low=0)
    cache_read = Number("US dollars for a million tokens read from the provider's cache.", low=0)
    cache_write = Number("US dollars for a million tokens written to it.", low=0)


def _modality(text: str) -> str:
    if text not in ("text", "image", "audio", "video"):
        raise ValidationError('must be "text" or "image"')
    return text


class ModelSchema(Section):
    makes = ModelSettings
    unused = openclaw.MODEL
    id = Text("The provider's own name of the model.", check=checks.filled, required=True)
    name = Text("Its name for people.")
    api = Api("As the provider's `api`.")
    input = Texts('What it reads: `"text"`, `"image"`.', check=_modality)
    context_window = Whole("The tokens it can hold.", low=1)
    max_tokens = Whole("The longest answer it can give.", low=1)
    reasoning = Flag("It thinks before it answers.")
    cost = Nested(CostSchema)
    compat = Anything("What its server accepts, with OpenClaw's names.")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> ModelSettings:
        # A provider has one way of speaking; this key is only checked.
        data.pop("api", None)
        return ModelSettings(**data)


class TimeoutsSchema(Section):
    makes = ProviderTimeouts
    connect = Milliseconds("To connect.", low=1, data_key="connectMs")
    first_token = Milliseconds("Until the first token.", low=1, data_key="firstTokenMs")
    idle = Milliseconds("Between two tokens.", low=1, data_key="idleMs")
    total = Milliseconds("For the whole call; no bound if not set.", low=1, data_key="totalMs")


class StepCallSchema(Section):
    id = Text("The call's id; made up if not set.")
    name = Text("The tool.", check=checks.filled, required=True)
    arguments = Setting("An object, or the text that the model would send.")


class StepErrorSchema(Section):
    status = Whole("The HTTP status.", low=400, high=599, required=True)
    message = Text("What the provider says.")
    code = Text("The provider's code for it.")
    retry_after = Number("Seconds in `Retry-After`.", low=0)


class StepUsageSchema(Section):
    prompt_tokens = Whole("Tokens read.", low=0)
    completion_tokens = Whole("Tokens written.", low=0)


def _true(value: bool) -> bool:
    if not value:
        raise ValidationError("must be true; leave the key out otherwise")
    return value


class StepSchema(Section):
    """One step of a script. Loads into the step as it is written, with exactly one key."""

    text = Text("A piece of the answer.")
    reasoning = Text("A piece of the thinking before it.")
    pause_ms = Number("Silence.", low=0, high=86_400_000)
    tool_call = Nested(StepCallSchema)
    error = Nested(StepErrorSchema)
    cut = Flag("The connection breaks.", check=_true)
    hang = Flag("Nothing comes any more.", check=_true)
    finish = OneOf("The end, and why.", "stop", "length", "tool_calls", "content_filter")
    usage = Nested(StepUsageSchema)


class Step(Setting):
    kind = "object with one key"

    @property
    def schema(self) -> Section:
        return StepSchema()

    def take(self, value: Any) -> dict[str, Any]:
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


class Script(Many):
    """A list of steps; loads into a tuple."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **options: Any) -> Any:
        return tuple(super()._deserialize(value, attr, data, **options))


class ProviderSchema(Section):
    """Loads into a dict of the keys that are given, so that they can be laid over the catalogue's."""

    defaults = ProviderSettings
    unused = openclaw.PROVIDER
    api = Api("How to speak with it; `openai-completions` if not set.")
    base_url = Text("Its address, the version included.", check=checks.base_url)
    api_key = Secret("Its key, or the name of the environment variable that holds it.")
    headers = Keyed(
        "Headers to send along.",
        Text("A header's value.", secret=True, check=checks.header_value),
        name=checks.header_name,
    )
    timeout_ms = Number("The longest one call may take; as `timeouts.totalMs`.", low=1)
    timeout_seconds = Number("The same in seconds.", low=0.001)
    timeouts = Nested(TimeoutsSchema)
    models = Many(Nested(ModelSchema))
    scripts = Keyed(
        "For api `scripted`: the name of a model, and the steps it plays.",
        Script(Step("One thing that the model does.")),
    )

    @validates_schema(skip_on_field_errors=True)
    def _models_are_told_apart(self, data: dict[str, Any], **_: Any) -> None:
        seen: set[str] = set()
        for index, model in enumerate(data.get("models", ())):
            if model.id in seen:
                raise ValidationError({"models": {index: {"id": ["is listed twice"]}}})
            seen.add(model.id)

    @validates_schema(skip_on_field_errors=True)
    def _scripts_belong_to_scripted(self, data: dict[str, Any], **_: Any) -> None:
        if "scripts" in data and data.get("api") != "scripted":
            raise ValidationError('needs `api: "scripted"` beside it', "scripts")


class ModelsSchema(Section):
    unused = openclaw.MODELS
    mode = OneOf("Whether `providers` come on top of the catalogue or in its place.", "merge", "replace")
    providers = Keyed("Providers by their name.", Nested(ProviderSchema), name=checks.provider_name)
