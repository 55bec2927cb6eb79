"""`agent --explain`: what an agent would be given for a run, and why. Asks no gateway and no model."""

from __future__ import annotations

import argparse
import logging.config
import os
from collections.abc import Mapping
from functools import partial

from app.auth.principal import LOCAL_OPERATOR
from app.bootstrap import build_gateway
from app.cli.exit_codes import EXIT_OK, exit_code
from app.cli.output import print_error, print_json, print_text
from app.config.loader import load_settings
from app.errors import GatewayError
from app.logs.lines import logging_config
from app.messages import Message
from app.runs.explain import Explanation
from app.runs.intake import RunInput


def run(args: argparse.Namespace, text: str) -> int:
    """Prints the explanation; an exit code. `text` stands for the message. Raises ConfigError."""
    load = partial(load_settings, os.environ)
    settings = load()
    logging.config.dictConfig(logging_config("info" if args.verbose else "error", settings.logging.format))
    gateway = build_gateway(settings, load)
    try:
        asked = RunInput(
            source="cli",
            key_rules="caller",
            principal=LOCAL_OPERATOR,
            messages=(Message("user", text),),
            agent_id=args.agent,
            session_key=args.session_key,
        )
        explanation = gateway.runs.explain(gateway.intake.load(asked), wait=True)
    except GatewayError as error:
        print_error(args, error.code, error.message)
        return exit_code(error)
    finally:
        gateway.close()
    if args.json:
        print_json(explanation.dump())
    else:
        _show(explanation)
    return EXIT_OK


def _show(explanation: Explanation) -> None:
    print_text(f"Agent {explanation.agent_id}, answered by {explanation.model}\n")
    prompt = explanation.prompt
    print_text(f"System prompt ({len(prompt)} characters):\n" if prompt else "System prompt: none\n")
    if prompt:
        print_text("\n".join(f"  {line}".rstrip() for line in prompt.splitlines()) + "\n")
    _list("Tools", explanation.tools)
    _list("Tools that it has not", explanation.absent)
    if explanation.not_over_http:
        _list("Not in runs asked for over HTTP", explanation.not_over_http)


def _list(title: str, tools: Mapping[str, str]) -> None:
    print_text(f"{title}: {len(tools) or 'none'}")
    width = max(map(len, tools), default=0)
    for name, why in tools.items():
        print_text(f"  {name:<{width}}  {why}")
    print_text("")
