from __future__ import annotations

from app.tools.mcp.environment import server_environment


def test_a_server_gets_harmless_variables_alone():
    ours = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "OPENAI_API_KEY": "secret",
        "OPENCLAW_GATEWAY_TOKEN": "secret",
        "LD_LIBRARY_PATH": "/x",
        "HTTPS_PROXY": "http://user:secret@proxy:1",
        "HTTP_PROXY": "http://proxy:1",
    }
    passed, refused = server_environment(ours, {})
    assert passed == {"PATH": "/bin", "LC_ALL": "C", "HTTP_PROXY": "http://proxy:1"}
    assert refused == []


def test_its_own_variables_come_on_top_but_for_those_that_are_code():
    given = {
        "PATH": "/mine",
        "KEY": "k",
        "NODE_OPTIONS": "x",
        "ld_preload": "x",
        "BASH_FUNC_ls%%": "() { x; }",
    }
    passed, refused = server_environment({"PATH": "/bin"}, given)
    assert passed == {"PATH": "/mine", "KEY": "k"}
    assert refused == ["NODE_OPTIONS", "ld_preload", "BASH_FUNC_ls%%"]
