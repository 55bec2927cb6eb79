from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from app.config.build.catalogue import CATALOGUE
from app.config.settings import ModelSettings, ProviderSettings, ProviderTimeouts

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator

KEYED = [entry for entry in CATALOGUE.values() if entry.variable]


def providers(operator: Operator, text: str = "{}", **environ: str) -> Mapping[str, ProviderSettings]:
    return operator.load("{models: " + text + "}", **environ).providers


def test_only_the_bundled_ones_are_there_without_keys(operator: Operator):
    found = providers(operator)
    assert {name: provider.api for name, provider in found.items()} == {
        "local": "local",
        "builtin": "builtin",
    }


@pytest.mark.parametrize("entry", KEYED, ids=lambda entry: entry.name)
def test_a_key_in_the_environment_is_enough(operator: Operator, entry):
    found = providers(operator, **{entry.variable: "the-key"})[entry.name]
    assert (found.api, found.base_url, found.api_key) == ("openai-completions", entry.base_url, "the-key")
    assert found.default_model == entry.default_model


def test_the_catalogue_has_openclaws_names_and_the_usual_variables():
    assert {entry.name: entry.variable for entry in CATALOGUE.values()} == {
        "openai": "OPENAI_API_KEY",
        "anthropic": "ANTHROPIC_API_KEY",
        "openrouter": "OPENROUTER_API_KEY",
        "google": "GEMINI_API_KEY",
        "groq": "GROQ_API_KEY",
        "mistral": "MISTRAL_API_KEY",
        "deepseek": "DEEPSEEK_API_KEY",
        "xai": "XAI_API_KEY",
        "together": "TOGETHER_API_KEY",
        "ollama": None,
        "local": None,
        "builtin": None,
    }


def test_an_empty_key_counts_as_unset(operator: Operator):
    assert "openai" not in providers(operator, OPENAI_API_KEY="")


def test_the_order_is_the_catalogues_then_the_files(operator: Operator):
    found = providers(
        operator,
        "{providers: {zz: {baseUrl: 'http://zz'}, openai: {}}}",
        GROQ_API_KEY="k",
        OPENAI_API_KEY="k",
    )
    assert list(found) == ["openai", "groq", "local", "builtin", "zz"]


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434/v1"),
        ("box:1234", "http://box:1234/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("http://box:1234", "http://box:1234/v1"),
        ("https://box/api/", "https://box/api"),
        ("[::1]:1234", "http://[::1]:1234/v1"),
    ],
)
def test_ollama_host_is_a_host_a_port_or_a_url(operator: Operator, written: str, address: str):
    for variable in ("OLLAMA_HOST", "OLLAMA_BASE_URL", "OLLAMA_API_BASE"):
        assert providers(operator, **{variable: written})["ollama"].base_url == address


@pytest.mark.parametrize("written", ["box:port", "http://u:p@box", "a b", "[", "ftp://x"])
def test_a_wrong_ollama_host_is_named(operator: Operator, written: str):
    [problem] = operator.problems("{}", OLLAMA_HOST=written)
    assert problem.startswith("environment: OLLAMA_HOST: ")


def test_an_agent_may_ask_for_ollama_without_anything(operator: Operator):
    settings = operator.load("{agents: {defaults: {model: 'ollama/llama3.2'}}}")
    assert settings.providers["ollama"].base_url == "http://127.0.0.1:11434/v1"


@pytest.mark.parametrize(
    ("given", "base_url", "key"),
    [
        ("{apiKey: 'file'}", "https://api.openai.com/v1", "file"),
        ("{baseUrl: 'http://proxy/v1/'}", "http://proxy/v1", "environment"),
        ("{}", "https://api.openai.com/v1", "environment"),
        ("{apiKey: ''}", "https://api.openai.com/v1", "environment"),
        ("{apiKey: 'OTHER_KEY'}", "https://api.openai.com/v1", "other"),
        ("{apiKey: 'UNSET_KEY'}", "https://api.openai.com/v1", "UNSET_KEY"),
    ],
)
def test_an_entry_changes_what_it_gives(operator: Operator, given: str, base_url: str, key: str):
    environ = {"OPENAI_API_KEY": "environment", "OTHER_KEY": "other"}
    found = providers(operator, "{providers: {openai: " + given + "}}", **environ)["openai"]
    assert (found.base_url, found.api_key) == (base_url, key)


def test_replace_uses_only_what_is_in_the_file(operator: Operator):
    text = "{mode: 'replace', providers: {groq: {baseUrl: 'http://x'}}}"
    found = providers(operator, text, OPENAI_API_KEY="k", GROQ_API_KEY="k")
    assert list(found) == ["groq", "local", "builtin"]
    assert found["groq"].api_key is None


def test_every_key_of_a_provider(operator: Operator):
    found = providers(
        operator,
        """{providers: {Corp: {baseUrl: 'https://llm.corp/v1', apiKey: 'k', api: 'openai-completions',
            headers: {'X-Team': ' a ', 'Ocp-Key': 'b'}, timeoutMs: 30000,
            timeouts: {connectMs: 1000, firstTokenMs: 2000, idleMs: 3000},
            models: [{id: 'm', name: 'M', input: ['text', 'image'], contextWindow: 10, maxTokens: 5,
              reasoning: true, cost: {input: 1, output: 2, cacheRead: 0.5, cacheWrite: 0},
              compat: {maxTokensField: 'max_tokens'}, api: 'openai-completions'}]}}}""",
    )["corp"]
    assert found == ProviderSettings(
        name="corp",
        base_url="https://llm.corp/v1",
        api_key="k",
        headers={"x-team": "a", "ocp-key": "b"},
        timeouts=ProviderTimeouts(1.0, 2.0, 3.0, 30.0),
        models=(
            ModelSettings(
                id="m",
                name="M",
                input=("text", "image"),
                context_window=10,
                max_tokens=5,
                reasoning=True,
                cost={"input": 1, "output": 2},
                compat={"maxTokensField": "max_tokens"},
            ),
        ),
    )


@pytest.mark.parametrize(
    ("given", "total"),
    [
        ("", None),
        ("timeoutMs: 1500", 1.5),
        ("timeoutSeconds: 20", 20.0),
        ("timeoutMs: 1500, timeouts: {totalMs: 100}", 0.1),
        ("timeoutMs: 1500, timeouts: {idleMs: 100}", 1.5),
    ],
)
def test_the_bound_of_a_call(operator: Operator, given: str, total: float | None):
    found = providers(operator, "{providers: {x: {baseUrl: 'http://x', " + given + "}}}")
    assert found["x"].timeouts.total == total


def test_openclaws_way_of_naming_ollama_works(operator: Operator):
    text = "{providers: {ollama: {baseUrl: 'http://127.0.0.1:11434', apiKey: 'ollama-local', api: 'ollama'}}}"
    found = providers(operator, text)["ollama"]
    assert (found.api, found.base_url) == ("openai-completions", "http://127.0.0.1:11434/v1")


STEPS = """[{text: 'a'}, {reasoning: 'b'}, {pauseMs: 5}, {toolCall: {name: 't', arguments: {x: 1}}},
    {toolCall: {id: 'c1', name: 't', arguments: '{}'}},
    {error: {status: 503, message: 'm', code: 'c', retryAfter: 1}},
    {cut: true}, {hang: true}, {finish: 'length'}, {usage: {promptTokens: 1, completionTokens: 2}}]"""


def test_scripts_are_kept_as_they_are_written(operator: Operator):
    found = providers(
        operator, "{providers: {s: {api: 'scripted', scripts: {one: " + STEPS + ", two: []}}}}"
    )["s"]
    assert found.api == "scripted"
    assert found.scripts["two"] == ()
    assert found.scripts["one"] == (
        {"text": "a"},
        {"reasoning": "b"},
        {"pauseMs": 5},
        {"toolCall": {"name": "t", "arguments": {"x": 1}}},
        {"toolCall": {"id": "c1", "name": "t", "arguments": "{}"}},
        {"error": {"status": 503, "message": "m", "code": "c", "retryAfter": 1}},
        {"cut": True},
        {"hang": True},
        {"finish": "length"},
        {"usage": {"promptTokens": 1, "completionTokens": 2}},
    )


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ("nowhere/x", "names a provider that is not known (known: anthropic, builtin, corp, deepseek"),
        ("opena/x", "did you mean `openai`?"),
        ("openai/x", "needs a key for `openai`: set OPENAI_API_KEY in the environment"),
        ("google/x", "set GEMINI_API_KEY"),
        ("mistral/x", "set MISTRAL_API_KEY, or models.providers.mistral.apiKey"),
    ],
)
@pytest.mark.parametrize("form", ["'%s'", "{primary: 'corp/m', fallbacks: ['%s']}"])
def test_a_model_without_a_provider_is_reported(operator: Operator, model: str, what: str, form: str):
    models = "{providers: {corp: {baseUrl: 'http://c'}, mistral: {}}}"
    agents = "{list: [{id: 'a', model: " + form % model + "}]}"
    [problem] = operator.problems("{models: " + models + ", agents: " + agents + "}")
    assert f": agents.list[0].model: `{model}` " in problem
    assert what in problem


def test_a_catalogue_provider_with_headers_or_another_address_needs_no_key(operator: Operator):
    text = "{models: {providers: {openai: {%s}}}, agents: {defaults: {model: 'openai/x'}}}"
    operator.load(text % "baseUrl: 'http://proxy'")
    operator.load(text % "headers: {'api-key': 'k'}")


def test_a_model_name_is_split_at_the_first_slash_only(operator: Operator):
    text = "{agents: {defaults: {model: 'OpenRouter/vendor/model:free'}}}"
    assert operator.load(text, OPENROUTER_API_KEY="k").agents[0].model == "openrouter/vendor/model:free"


@pytest.mark.parametrize(
    ("given", "path", "what"),
    [
        ("{}", "", "`baseUrl` is missing"),
        ("{baseUrl: 'llm.corp'}", ".baseUrl", "http or https URL"),
        ("{baseUrl: 'ftp://x'}", ".baseUrl", "http or https URL"),
        ("{baseUrl: 'http://u:p@x'}", ".baseUrl", "must not contain a user or password"),
        ("{baseUrl: 'http://x?key=1'}", ".baseUrl", "no `?` and no `#`"),
        ("{baseUrl: 'http://x:99999'}", ".baseUrl", "port"),
        ("{baseUrl: 'http://x y'}", ".baseUrl", "http or https URL"),
        ("{baseUrl: 'http://x', api: 'anthropic-messages'}", ".api", 'use "openai-completions"'),
        ("{baseUrl: 'http://x', api: 'openai-responses'}", ".api", 'use "openai-completions"'),
        ("{baseUrl: 'http://x', api: 'openai-completion'}", ".api", "did you mean `openai-completions`?"),
        ("{baseUrl: 'http://x', headers: {'a b': 'c'}}", '.headers."a b"', "HTTP header"),
        ("{baseUrl: 'http://x', headers: {a: 'c\\r\\nd: e'}}", ".headers.a", "must be one line"),
        ("{baseUrl: 'http://x', headers: {a: 'c\\u001bd'}}", ".headers.a", "control characters"),
        ("{baseUrl: 'http://x', headers: {'a\\r\\nb': 'c'}}", '.headers."a\\r\\nb"', "HTTP header"),
        ("{baseUrl: 'http://x', apiKey: 'sk-one\\r\\nX-Admin: 1'}", ".apiKey", "must be one line"),
        ("{baseUrl: 'http://x', apiKey: 'sk\\u0000one'}", ".apiKey", "control characters"),
        ("{baseUrl: 'http://x', headers: {a: 1}}", ".headers.a", "must be text"),
        ("{baseUrl: 'http://x', timeoutMs: 0}", ".timeoutMs", "must be a number"),
        ("{baseUrl: 'http://x', timeouts: {idle: 5}}", ".timeouts.idle", "did you mean `idleMs`?"),
        ("{baseUrl: 'http://x', models: [{}]}", ".models[0].id", "is missing"),
        ("{baseUrl: 'http://x', models: [{id: 'a'}, {id: 'a'}]}", ".models[1].id", "is listed twice"),
        ("{baseUrl: 'http://x', models: [{id: 'a', input: ['smell']}]}", ".models[0].input[0]", '"image"'),
        (
            "{baseUrl: 'http://x', models: [{id: 'a', cost: {input: -1}}]}",
            ".models[0].cost.input",
            "0 or more",
        ),
        ("{baseUrl: 'http://x', scripts: {}}", ".scripts", 'needs `api: "scripted"`'),
        ("{api: 'scripted', scripts: {a: {}}}", ".scripts.a", "must be a list"),
        ("{api: 'scripted', scripts: {a: [5]}}", ".scripts.a[0]", "exactly one of"),
        ("{api: 'scripted', scripts: {a: [{}]}}", ".scripts.a[0]", "exactly one of"),
        ("{api: 'scripted', scripts: {a: [{text: 'x', cut: true}]}}", ".scripts.a[0]", "exactly one of"),
        ("{api: 'scripted', scripts: {a: [{txt: 'x'}]}}", ".scripts.a[0].txt", "did you mean `text`?"),
        ("{api: 'scripted', scripts: {a: [{pauseMs: -1}]}}", ".scripts.a[0].pauseMs", "from 0"),
        ("{api: 'scripted', scripts: {a: [{cut: false}]}}", ".scripts.a[0].cut", "must be true"),
        ("{api: 'scripted', scripts: {a: [{finish: 'end'}]}}", ".scripts.a[0].finish", '"stop"'),
        (
            "{api: 'scripted', scripts: {a: [{error: {status: 200}}]}}",
            ".scripts.a[0].error.status",
            "400 to 599",
        ),
        ("{api: 'scripted', scripts: {a: [{toolCall: {}}]}}", ".scripts.a[0].toolCall.name", "is missing"),
        (
            "{api: 'scripted', scripts: {a: [{toolCall: {name: 't', arguments: 5}}]}}",
            ".scripts.a[0].toolCall.arguments",
            "must be an object or text",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_key_and_a_hint(operator: Operator, given: str, path: str, what: str):
    [problem] = operator.problems("{models: {providers: {corp: " + given + "}}}")
    assert f": models.providers.corp{path}: " in problem
    assert what in problem


@pytest.mark.parametrize("name", ["a/b", "", "a b", "-a"])
def test_a_provider_name_has_no_slash_and_no_space(operator: Operator, name: str):
    assert (
        "must be letters, digits"
        in operator.problems("{models: {providers: {'" + name + "': {api: 'local'}}}}")[0]
    )


def test_the_same_provider_in_two_spellings_is_refused(operator: Operator):
    text = "{models: {providers: {a: {baseUrl: 'http://x'}, A: {baseUrl: 'http://x'}}}}"
    assert "same name as another" in operator.problems(text)[0]


@pytest.mark.parametrize("around", ["\r\n", "\n", " \t", "\ufeff", "\u00a0"])
def test_blanks_and_line_ends_around_a_key_do_not_belong_to_it(operator: Operator, around: str):
    key = around + "sk-one two" + around
    environ = {"GROQ_API_KEY": key, "NAMED_KEY": key, "XAI_API_KEY": around, "OPENCLAW_GATEWAY_TOKEN": key}
    text = """{models: {providers: {
        a: {baseUrl: 'http://a', apiKey: %s, headers: {authorization: %s}},
        b: {baseUrl: 'http://b', apiKey: '${NAMED_KEY}'},
        c: {baseUrl: 'http://c', apiKey: 'NAMED_KEY'}}}}"""
    settings = operator.load(text % (json.dumps(key), json.dumps(key)), **environ)
    found = settings.providers
    assert [found[name].api_key for name in ("a", "b", "c", "groq")] == ["sk-one two"] * 4
    assert found["a"].headers == {"authorization": "sk-one two"}
    assert settings.gateway.auth.token == "sk-one two"
    assert "xai" not in found or found["xai"].api_key is None


@pytest.mark.parametrize("name", ["GROQ_API_KEY", "OPENCLAW_GATEWAY_TOKEN"])
def test_a_key_of_the_environment_with_a_line_end_in_it_is_refused_by_name(operator: Operator, name: str):
    [problem] = operator.problems("{}", **{name: "one\r\nX-Admin: 1"})
    assert problem == f"environment: {name}: must be one line"


def test_headers_that_the_gateway_sets_itself_are_left_out_with_a_note(operator: Operator):
    headers = (
        "{Host: 'h', 'content-length': '5', 'Transfer-Encoding': 'chunked', Connection: 'close', x: 'y'}"
    )
    settings = operator.load("{models: {providers: {a: {baseUrl: 'http://a', headers: " + headers + "}}}}")
    assert settings.providers["a"].headers == {"x": "y"}
    [note] = [note for note in settings.notes if "models.providers.a.headers" in note]
    assert "connection, content-length, host, transfer-encoding" in note


@pytest.mark.parametrize(
    ("name", "variable", "written", "address"),
    [
        ("openai", "OPENAI_BASE_URL", "http://proxy/v1/", "http://proxy/v1"),
        ("openai", "OPENAI_BASE_URL", " http://proxy\n", "http://proxy"),
        ("openai", "OPENAI_API_BASE", "http://proxy/v1", "http://proxy/v1"),
        ("anthropic", "ANTHROPIC_BASE_URL", "http://proxy", "http://proxy/v1"),
        ("anthropic", "ANTHROPIC_BASE_URL", "http://proxy/anthropic/v1", "http://proxy/anthropic/v1"),
        ("openrouter", "OPENROUTER_BASE_URL", "http://proxy/api/v1", "http://proxy/api/v1"),
        ("google", "GOOGLE_GEMINI_BASE_URL", "http://proxy/", "http://proxy/v1beta/openai"),
        ("google", "GEMINI_API_BASE", "http://proxy/v1beta", "http://proxy/v1beta/openai"),
        ("google", "GEMINI_BASE_URL", "http://proxy/gemini/openai", "http://proxy/gemini/openai"),
        ("groq", "GROQ_BASE_URL", "http://proxy", "http://proxy/openai/v1"),
        ("groq", "GROQ_API_BASE", "http://proxy/openai/v1", "http://proxy/openai/v1"),
        ("mistral", "MISTRAL_BASE_URL", "http://proxy/v1", "http://proxy/v1"),
        ("deepseek", "DEEPSEEK_BASE_URL", "http://proxy", "http://proxy"),
        ("xai", "XAI_BASE_URL", "http://proxy/v1", "http://proxy/v1"),
        ("together", "TOGETHER_BASE_URL", "http://proxy/v1", "http://proxy/v1"),
    ],
)
def test_the_environment_names_the_base_url_as_the_providers_own_package_reads_it(
    operator: Operator, name: str, variable: str, written: str, address: str
):
    environ = {str(CATALOGUE[name].variable): "k", variable: written}
    assert providers(operator, **environ)[name].base_url == address
    assert providers(operator, "{providers: {" + name + ": {}}}", **environ)[name].base_url == address
    entry = "{providers: {" + name + ": {baseUrl: 'http://file/v1'}}}"
    assert providers(operator, entry, **environ)[name].base_url == "http://file/v1"


def test_every_provider_with_a_key_has_variables_for_its_base_url():
    for entry in (*KEYED, CATALOGUE["ollama"]):
        assert any(variable.endswith("_BASE_URL") for variable in entry.base_variables)


@pytest.mark.parametrize("written", ["proxy/v1", "ftp://proxy", "http://u:p@proxy", "http://proxy:port"])
def test_a_wrong_base_url_is_refused_and_never_replaced_by_the_public_one(operator: Operator, written: str):
    [problem] = operator.problems("{}", OPENAI_API_KEY="k", OPENAI_BASE_URL=written)
    assert problem.startswith("environment: OPENAI_BASE_URL: ")


def test_a_provider_at_an_address_of_ones_own_needs_no_key(operator: Operator):
    text = "{agents: {defaults: {model: 'openai/qwen'}}}"
    found = operator.load(text, OPENAI_BASE_URL="http://127.0.0.1:8000/v1").providers["openai"]
    assert (found.base_url, found.api_key) == ("http://127.0.0.1:8000/v1", None)
    [problem] = operator.problems(text)
    assert "OPENAI_API_KEY" in problem


def test_openrouters_own_models_are_listed_under_the_name_they_are_asked_for_by(operator: Operator):
    text = "{providers: {openrouter: {models: [{id: 'openrouter/auto'}, {id: 'auto2'}, {id: 'a/b'}]}}}"
    found = providers(operator, text, OPENROUTER_API_KEY="k")["openrouter"]
    assert [model.id for model in found.models] == ["auto", "auto2", "a/b"]
