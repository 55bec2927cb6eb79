"""Client tools: functions that the model may ask the caller to call (docs/http.md#tools-of-your-own)."""

from __future__ import annotations

import msgspec

from app.errors import InvalidRequest, UnsupportedValue
from app.messages import ToolSpec

CHOICES = ("none", "auto", "required")


class ClientTools(msgspec.Struct, frozen=True):
    """`choice` is as in `app.providers.base.ModelCall`.

    Whether there is a tool of the chosen name is decided where the agent's own are known.
    """

    specs: tuple[ToolSpec, ...] = ()
    choice: str | None = None


def load_tools(tools: object, choice: object) -> ClientTools:
    """The request's `tools` and `tool_choice`. Raises InvalidRequest, with `param`, for malformed ones."""
    specs = _load_specs(tools)
    if choice is None:
        return ClientTools(specs)
    return ClientTools(specs, _load_choice(choice))


def refuse_functions(functions: object, choice: object) -> None:
    """Raise UnsupportedValue if the older `functions` and `function_call` ask for anything.

    They are not ignored: the model would never hear of the functions, and its caller wait for calls in vain.
    """
    for name, value, nothing in (
        ("functions", functions, (None, [])),
        ("function_call", choice, (None, "none", "auto")),
    ):
        if value not in nothing:
            raise UnsupportedValue(
                f"`{name}` is OpenAI's older form and not supported: send the functions as `tools`, and "
                "`tool_choice` with them.",
                param=name,
            )


def _load_specs(tools: object) -> tuple[ToolSpec, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise InvalidRequest("`tools` must be a list.", param="tools")
    specs = tuple(_load_spec(tool, f"tools[{index}]") for index, tool in enumerate(tools))
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            raise InvalidRequest(f"`tools` has two tools named {spec.name[:80]!r}.", param="tools")
        seen.add(spec.name)
    return specs


def _load_spec(raw: object, path: str) -> ToolSpec:
    if not isinstance(raw, dict) or raw.get("type", "function") != "function":
        raise UnsupportedValue(f"`{path}.type` must be `function`.", param=f"{path}.type")
    function = raw.get("function")
    if not isinstance(function, dict):
        raise InvalidRequest(f"`{path}.function` must be an object.", param=f"{path}.function")
    name, description = function.get("name"), function.get("description")
    parameters, strict = function.get("parameters"), function.get("strict")
    if not isinstance(name, str) or not name.strip():
        raise InvalidRequest(f"`{path}.function.name` must be a string.", param=f"{path}.function.name")
    if description is not None and not isinstance(description, str):
        raise InvalidRequest(f"`{path}.function.description` must be a string.", param=path)
    if parameters is not None and not isinstance(parameters, dict):
        raise InvalidRequest(f"`{path}.function.parameters` must be a JSON schema.", param=path)
    if strict is not None and not isinstance(strict, bool):
        raise InvalidRequest(f"`{path}.function.strict` must be true or false.", param=path)
    return ToolSpec(name, description, parameters, strict)


def _load_choice(choice: object) -> str:
    if isinstance(choice, str) and choice in CHOICES:
        return choice
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if (
        isinstance(choice, dict)
        and choice.get("type", "function") == "function"
        and isinstance(name, str)
        and name
    ):
        return f"function:{name}"
    raise UnsupportedValue(
        '`tool_choice` must be none, auto, required or {"type": "function", "function": {"name": …}}.',
        param="tool_choice",
    )
