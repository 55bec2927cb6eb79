"""`python -m app models list`: which models agents can use, and which one is the default."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import Any

from app.bootstrap import build_gateway
from app.cli.exit_codes import EXIT_OK
from app.cli.output import print_json, print_text
from app.config.loader import load_settings
from app.config.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list providers, their models and who uses them")
    listing.add_argument("--json", action="store_true", help="print a JSON object")
    listing.set_defaults(run=list_models)


def list_models(args: argparse.Namespace) -> int:
    """Prints the models; an exit code. Raises ConfigError."""
    load = partial(load_settings, os.environ)
    settings = load()
    gateway = build_gateway(settings, load)
    try:
        name, why = gateway.models.default()
    finally:
        gateway.close()
    rows = _rows(settings, name)
    if args.json:
        print_json({"default": name, "why": why, "models": rows})
        return EXIT_OK
    width = max(len(row["model"]) for row in rows)
    for row in rows:
        users = f"used by {', '.join(row['agents'])}" if row["agents"] else ""
        print_text(f"{'*' if row['default'] else ' '} {row['model']:<{width}}  {users}".rstrip())
    print_text(f"\n* default: {name} ({why})")
    return EXIT_OK


def _rows(settings: Settings, default: str) -> list[dict[str, Any]]:
    names = [
        f"{provider.name}/{one.id}" for provider in settings.providers.values() for one in provider.models
    ]
    suggested = [
        f"{one.name}/{one.default_model}" for one in settings.providers.values() if one.default_model
    ]
    used = [model for agent in settings.agents for model in (agent.model, *agent.fallbacks) if model]
    return [
        {
            "model": name,
            "default": name == default,
            "agents": [one.id for one in settings.agents if name in (one.model or default, *one.fallbacks)],
        }
        for name in dict.fromkeys([default, *used, *names, *suggested])
    ]
