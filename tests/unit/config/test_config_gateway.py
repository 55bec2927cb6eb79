from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.config.settings import (
    AuthRateLimit,
    AuthSettings,
    ChatCompletionsSettings,
    ControlUiSettings,
    GatewaySettings,
    ImageSettings,
    RemoteSettings,
    SseSettings,
    TrustedProxySettings,
)

if TYPE_CHECKING:
    from tests.unit.config.conftest import Operator


def gateway(operator: Operator, text: str, **environ: str) -> GatewaySettings:
    return operator.load("{gateway: " + text + "}", **environ).gateway


def test_an_empty_section_is_the_defaults(operator: Operator):
    assert gateway(operator, "{}") == GatewaySettings()


@pytest.mark.parametrize(
    ("text", "environ", "host", "port"),
    [
        ("{}", {}, "127.0.0.1", 18789),
        ("{port: 1}", {}, "127.0.0.1", 1),
        ("{port: '65535'}", {}, "127.0.0.1", 65535),
        ("{bind: 'loopback'}", {}, "127.0.0.1", 18789),
        ("{bind: 'auto'}", {}, "127.0.0.1", 18789),
        ("{bind: 'lan'}", {}, "0.0.0.0", 18789),
        ("{bind: 'custom', customBindHost: '192.168.1.5'}", {}, "192.168.1.5", 18789),
        ("{bind: 'custom', customBindHost: '[::1]'}", {}, "::1", 18789),
        ("{bind: 'custom', customBindHost: 'Box.local'}", {}, "box.local", 18789),
        ("{port: 1, bind: 'loopback'}", {"PORT": "5000"}, "0.0.0.0", 5000),
        ("{port: 1}", {"PORT": ""}, "127.0.0.1", 1),
        ("{port: 1}", {"OPENCLAW_GATEWAY_PORT": "2", "CLAWDBOT_GATEWAY_PORT": "3"}, "127.0.0.1", 2),
        ("{port: 1}", {"CLAWDBOT_GATEWAY_PORT": "3"}, "127.0.0.1", 3),
    ],
)
def test_where_to_listen(operator: Operator, text: str, environ: dict[str, str], host: str, port: int):
    settings = gateway(operator, text, **environ)
    assert (settings.host, settings.port) == (host, port)


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "80.5"])
def test_a_wrong_port_in_the_environment_is_named(operator: Operator, port: str):
    assert operator.problems("{}", PORT=port) == ["environment: PORT: must be a whole number from 1 to 65535"]


@pytest.mark.parametrize(
    ("text", "environ", "mode", "token", "password"),
    [
        ("{}", {}, "token", None, None),
        ("{token: 't'}", {}, "token", "t", None),
        ("{password: 'p'}", {}, "password", None, "p"),
        ("{token: 't', password: 'p'}", {}, "password", "t", "p"),
        ("{mode: 'token', token: 't', password: 'p'}", {}, "token", "t", "p"),
        ("{mode: 'none'}", {}, "none", None, None),
        ("{}", {"OPENCLAW_GATEWAY_TOKEN": "e"}, "token", "e", None),
        ("{}", {"OPENCLAW_GATEWAY_PASSWORD": "e"}, "password", None, "e"),
        ("{}", {"CLAWDBOT_GATEWAY_TOKEN": "e"}, "token", "e", None),
        ("{}", {"CLAWDBOT_GATEWAY_PASSWORD": "e"}, "password", None, "e"),
        ("{}", {"OPENCLAW_GATEWAY_TOKEN": "new", "CLAWDBOT_GATEWAY_TOKEN": "old"}, "token", "new", None),
        ("{token: 't'}", {"OPENCLAW_GATEWAY_TOKEN": "e"}, "token", "t", None),
        ("{token: ''}", {"OPENCLAW_GATEWAY_TOKEN": "e"}, "token", "e", None),
        ("{token: '', password: ''}", {"OPENCLAW_GATEWAY_TOKEN": ""}, "token", None, None),
        ("{token: 'x'}", {}, "token", "x", None),
        ("{token: 'pässwörd 🦞'}", {}, "token", "pässwörd 🦞", None),
    ],
)
def test_who_may_call(
    operator: Operator,
    text: str,
    environ: dict[str, str],
    mode: str,
    token: str | None,
    password: str | None,
):
    auth = gateway(operator, "{auth: " + text + "}", **environ).auth
    assert (auth.mode, auth.token, auth.password) == (mode, token, password)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{auth: {rateLimit: {}}}", GatewaySettings(auth=AuthSettings(rate_limit=AuthRateLimit()))),
        (
            "{auth: {rateLimit: {maxAttempts: 3, windowMs: 500, lockoutMs: 2000, exemptLoopback: false}}}",
            GatewaySettings(auth=AuthSettings(rate_limit=AuthRateLimit(3, 0.5, 2.0, False))),
        ),
        (
            """{auth: {mode: 'trusted-proxy', trustedProxy: {userHeader: 'X-User', requiredHeaders: ['X-A'],
                allowUsers: ['ann'], allowLoopback: true,
                adminUsers: ['ann']}}, trustedProxies: ['10.0.0.1', 'fd00::/8']}""",
            GatewaySettings(
                auth=AuthSettings(
                    "trusted-proxy",
                    trusted_proxy=TrustedProxySettings("x-user", ("x-a",), ("ann",), True, ("ann",)),
                ),
                trusted_proxies=("10.0.0.1", "fd00::/8"),
            ),
        ),
        (
            """{http: {endpoints: {chatCompletions: {enabled: true, maxBodyBytes: 1, maxImageParts: 2,
                maxTotalImageBytes: 3, unknownModel: 'default', images: {allowUrl: true,
                urlAllowlist: ['a.example'], allowedMimes: ['IMAGE/PNG'], maxBytes: 4, maxRedirects: 0,
                timeoutMs: 1500}}}}}""",
            GatewaySettings(
                chat_completions=ChatCompletionsSettings(
                    True, 1, 2, 3, ImageSettings(True, ("a.example",), ("image/png",), 4, 0, 1.5), "default"
                )
            ),
        ),
        ("{http: {endpoints: {responses: {enabled: true}}}}", GatewaySettings(responses_enabled=True)),
        (
            "{allowedHosts: ['Gw.Example', '[::1]:80']}",
            GatewaySettings(allowed_hosts=("gw.example", "[::1]:80")),
        ),
        ("{metrics: {public: true}}", GatewaySettings(metrics_public=True)),
        (
            "{http: {cors: {origins: ['https://A.example:443', 'http://b.example:8080']}}}",
            GatewaySettings(cors_origins=("https://a.example", "http://b.example:8080")),
        ),
        (
            "{http: {sse: {keepalive: 'chunk', keepaliveSeconds: 2.5}}}",
            GatewaySettings(sse=SseSettings("chunk", 2.5)),
        ),
        (
            "{controlUi: {allowedOrigins: ['https://a.example']}}",
            GatewaySettings(control_ui=ControlUiSettings(("https://a.example",))),
        ),
        (
            "{mode: 'remote', remote: {url: 'wss://far.example', token: 't', password: ''}}",
            GatewaySettings(mode="remote", remote=RemoteSettings("wss://far.example", "t", None)),
        ),
    ],
)
def test_each_key_has_its_place(operator: Operator, text: str, expected: GatewaySettings):
    assert gateway(operator, text) == expected


@pytest.mark.parametrize(
    ("text", "path", "what"),
    [
        ("{port: 0}", "gateway.port", "a whole number from 1 to 65535"),
        ("{port: true}", "gateway.port", "a whole number"),
        ("{port: null}", "gateway.port", "null is not a value"),
        ("{bind: 'tailnet'}", "gateway.bind", 'must be "loopback" or "lan" or "custom" or "auto"'),
        ("{bind: 'custom'}", "gateway.customBindHost", 'is missing: `bind: "custom"` needs it'),
        ("{bind: 'custom', customBindHost: 'a b'}", "gateway.customBindHost", "must be an address"),
        ("{auth: {mode: 'passwrd'}}", "gateway.auth.mode", "did you mean `password`?"),
        ("{auth: {token: 5}}", "gateway.auth.token", "must be text"),
        ("{auth: {rateLimit: {maxAttempts: 0}}}", "gateway.auth.rateLimit.maxAttempts", "1 or more"),
        ("{auth: {rateLimit: true}}", "gateway.auth.rateLimit", "must be an object"),
        ("{auth: {mode: 'trusted-proxy'}}", "gateway.auth.trustedProxy", "is missing"),
        (
            "{auth: {mode: 'trusted-proxy', trustedProxy: {userHeader: 'x'}}}",
            "gateway.trustedProxies",
            "is missing",
        ),
        ("{auth: {trustedProxy: {}}}", "gateway.auth.trustedProxy.userHeader", "is missing"),
        (
            "{auth: {trustedProxy: {userHeader: 'a b'}}}",
            "gateway.auth.trustedProxy.userHeader",
            "HTTP header",
        ),
        ("{trustedProxies: ['10.0.0.0/33']}", "gateway.trustedProxies[0]", "an address or a CIDR"),
        ("{trustedProxies: ['1.2.3.4', 'proxy']}", "gateway.trustedProxies[1]", "an address or a CIDR"),
        ("{trustedProxies: '10.0.0.1'}", "gateway.trustedProxies", "must be a list"),
        ("{allowedHosts: ['https://a.example']}", "gateway.allowedHosts[0]", "must be an address or a host"),
        ("{allowedHosts: ['*']}", "gateway.allowedHosts[0]", "must be an address or a host"),
        ("{http: {cors: {origins: ['*']}}}", "gateway.http.cors.origins[0]", "`*` is not supported"),
        (
            "{http: {cors: {origins: ['https://*.a']}}}",
            "gateway.http.cors.origins[0]",
            "`*` is not supported",
        ),
        ("{http: {cors: {origins: ['https://a/']}}}", "gateway.http.cors.origins[0]", "without a path"),
        ("{http: {cors: {origins: ['https://u@a']}}}", "gateway.http.cors.origins[0]", "exact origin"),
        ("{http: {cors: {origins: ['a.example']}}}", "gateway.http.cors.origins[0]", "exact origin"),
        ("{http: {cors: {origins: ['http://a:99999']}}}", "gateway.http.cors.origins[0]", "port"),
        ("{http: {cors: {origins: ['http://[a']}}}", "gateway.http.cors.origins[0]", "is not a URL"),
        (
            "{controlUi: {allowedOrigins: ['*']}}",
            "gateway.controlUi.allowedOrigins[0]",
            "`*` is not supported",
        ),
        ("{http: {sse: {keepalive: 'ping'}}}", "gateway.http.sse.keepalive", 'must be "comment"'),
        ("{http: {sse: {keepaliveSeconds: 0}}}", "gateway.http.sse.keepaliveSeconds", "from 0.05 to 3600"),
        ("{http: {sse: {keepaliveSeconds: NaN}}}", "gateway.http.sse.keepaliveSeconds", "ordinary number"),
        ("{http: {sse: {keepaliveSeconds: 1e999}}}", "gateway.http.sse.keepaliveSeconds", "ordinary number"),
        (
            "{http: {endpoints: {chatCompletions: {enabled: 1}}}}",
            "gateway.http.endpoints.chatCompletions.enabled",
            "must be true or false",
        ),
        (
            "{http: {endpoints: {chatCompletions: {enabld: true}}}}",
            "gateway.http.endpoints.chatCompletions.enabld",
            "did you mean `enabled`?",
        ),
        ("{http: {endpoint: {}}}", "gateway.http.endpoint", "did you mean `endpoints`?"),
        ("{remote: {url: 'ftp://a'}}", "gateway.remote.url", "must be a URL"),
        ("[]", "gateway", "must be an object"),
        ("'x'", "gateway", "must be an object"),
    ],
)
def test_a_mistake_is_reported_with_its_key_and_a_hint(operator: Operator, text: str, path: str, what: str):
    [problem] = operator.problems("{gateway: " + text + "}")
    position, found, _ = problem.partition(f": {path}: ")
    assert found
    assert position.count(":") == 1  # line and column
    assert what in problem


def test_all_mistakes_are_reported_at_once_in_the_files_order(operator: Operator):
    problems = operator.problems(
        """{
          gateway: {port: 0, bnd: 'lan', auth: {mode: 'x'}},
          nonsense: 1,
          session: {maintenance: {pruneAfter: 'later'}},
          logging: {level: '${NO_SUCH}'},
          agents: {list: [{id: 'a'}, {id: 'A'}]},
        }""",
        PORT="x",
    )
    keys = [problem.split(": ")[1] for problem in problems]
    assert keys == [
        "gateway.port",
        "gateway.bnd",
        "gateway.auth.mode",
        "nonsense",
        "session.maintenance.pruneAfter",
        "logging.level",
        "agents.list[1].id",
        "PORT",
    ]


def test_keys_of_openclaw_that_are_not_used_are_named_once(operator: Operator):
    settings = operator.load(
        """{$schema: 'x', meta: {}, channels: {}, plugins: {}, browser: {}, cron: {}, skills: {},
            canvasHost: {}, discovery: {},
            talk: {}, wizard: {}, ui: {}, messages: {}, commands: {}, bindings: [], nodes: {},
            gateway: {tls: {enabled: false}, tailscale: {mode: 'off'}, reload: {mode: 'hybrid'},
                      auth: {allowTailscale: true}, controlUi: {basePath: '/x'}},
            agents: {defaults: {heartbeat: {}, compaction: {}}, list: [{id: 'a', agentDir: '~'}]}}"""
    )
    sections = (
        "bindings, browser, canvasHost, channels, commands, cron, discovery, messages, meta, nodes, plugins, "
        "skills, talk, ui, wizard"
    )
    keys = (
        "agents.defaults.compaction, agents.defaults.heartbeat, agents.list[0].agentDir, "
        "gateway.auth.allowTailscale, gateway.controlUi.basePath, gateway.reload, gateway.tailscale, "
        "gateway.tls"
    )
    assert settings.notes == (f"not used here, sections: {sections}", f"not used here, keys: {keys}")


def test_keys_that_have_nothing_to_set_here_are_named_too(operator: Operator):
    settings = operator.load(
        """{gateway: {controlUi: {enabled: false}}, session: {maintenance: {ephemeralAfter: '1h'}},
            models: {providers: {corp: {baseUrl: 'http://corp', models: [
              {id: 'm', cost: {input: 1, cacheRead: 0.5, cacheWrite: 2}}]}}}}"""
    )
    cost = "models.providers.corp.models[0].cost"
    [note] = settings.notes
    assert note.removeprefix("not used here, keys: ").split(", ") == [
        "gateway.controlUi.enabled",
        f"{cost}.cacheRead",
        f"{cost}.cacheWrite",
        "session.maintenance.ephemeralAfter",
    ]
    assert settings.providers["corp"].models[0].cost == {"input": 1}


SECTIONS = ("gateway", "agents", "models", "session", "storage", "redis", "logging", "tools", "env")


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("value", ["0", "1.5", "'x'", "null", "[]", "true", "{nonsense_nonsense: {}}"])
def test_any_other_kind_of_value_is_a_mistake(operator: Operator, section: str, value: str):
    assert operator.problems("{" + section + ": " + value + "}")


@pytest.mark.parametrize("section", SECTIONS)
def test_an_empty_section_is_fine(operator: Operator, section: str):
    operator.load("{" + section + ": {}}")
