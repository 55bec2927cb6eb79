"""`python -m app sessions`: the stored sessions, and what can be done with one."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any

from app.cli.errors import WrongUse
from app.cli.exit_codes import EXIT_OK
from app.cli.options import add_gateway_options
from app.cli.output import ago, model_name, print_facts, print_json, print_table, print_text
from app.cli.remote import over_gateway
from app.client.client import GatewayClient

HEADINGS = ("session", "updated", "model", "tokens", "label")
DEFAULT_LIMIT = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_listing(parser)
    actions = parser.add_subparsers(title="actions (default: list)", metavar="ACTION")
    _add_listing(actions.add_parser("list", help="list them, newest first"))
    for name, text, method, command in (
        ("show", "show one", "sessions.describe", show_one),
        ("reset", "empty the conversation of one, and keep its settings", "sessions.reset", reset),
        ("delete", "delete one with all its messages", "sessions.delete", delete),
        ("fork", "copy one, up to a message", "sessions.fork", fork),
    ):
        _add_action(actions, name, text, over_gateway(command, method))
    _add_action(actions, "export", "write all of one to a file", _from_files("export_session"))
    imports = _add_action(
        actions, "import", "store a conversation from a file", _from_files("import_session")
    )
    imports.add_argument("--key", help="the session's key (default: a new one)")
    _add_copy(actions)


def _add_listing(parser: argparse.ArgumentParser) -> None:
    add_gateway_options(parser)
    parser.add_argument(
        "--limit", type=int, default=DEFAULT_LIMIT, help=f"how many at most (default: {DEFAULT_LIMIT})"
    )
    parser.add_argument("--active", type=int, metavar="MINUTES", help="only those used in so many minutes")
    parser.add_argument("--agent", help="only this agent's")
    parser.set_defaults(run=over_gateway(show, "sessions.list"))


def _add_action(
    actions: Any, name: str, text: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=text)
    if name == "import":
        action.add_argument(
            "file", metavar="FILE", help="an export, or a list of messages; - is standard input"
        )
    else:
        action.add_argument("key", metavar="KEY", help="as `sessions list` shows it, or a bare name")
    if name == "fork":
        action.add_argument("--message", metavar="ID", help="the last message to copy (default: the newest)")
    if name == "export":
        action.add_argument("--format", choices=("jsonl", "markdown"), default="jsonl")
        action.add_argument("-o", "--output", metavar="FILE", help="(default: standard output)")
    add_gateway_options(action)
    action.set_defaults(run=run)
    return action


def _add_copy(actions: Any) -> None:
    text = "copy the sessions of one database into another, without a gateway"
    copying = actions.add_parser("copy", help=text, description=text)
    copying.add_argument(
        "--from", dest="source", metavar="URL", required=True, help="sqlite:… or postgresql:…"
    )
    copying.add_argument("--to", dest="target", metavar="URL", help="default: DATABASE_URL, or storage.url")
    copying.add_argument("--json", action="store_true", help="print a JSON object")
    copying.set_defaults(run=copy)


def copy(args: argparse.Namespace) -> int:
    """Runs `sessions copy`, with all that it takes to open a database; an exit code."""
    code: int = import_module("app.cli.sessions_copy").run(args)
    return code


def _from_files(name: str) -> Callable[[argparse.Namespace], int]:
    """A command that needs more than others, imported when it is run."""

    def run(args: argparse.Namespace) -> int:
        code: int = getattr(import_module("app.cli.session_files"), name)(args)
        return code

    return run


def show(args: argparse.Namespace, client: GatewayClient) -> int:
    """Prints the answer; an exit code. Raises ClientError."""
    given = {"limit": args.limit, "activeMinutes": args.active, "agentId": args.agent}
    params = {name: value for name, value in given.items() if value is not None}
    listed = client.call("sessions.list", params, args.timeout)
    if args.json:
        print_json(listed)
    else:
        print_table(HEADINGS, [_row(session) for session in listed.get("sessions") or []])
    return EXIT_OK


def show_one(args: argparse.Namespace, client: GatewayClient) -> int:
    """Prints one; an exit code. Raises ClientError and WrongUse."""
    params = {"key": args.key, "includeDerivedTitles": True, "includeLastMessage": True}
    session = client.call("sessions.describe", params, args.timeout)["session"]
    if session is None:
        raise WrongUse(f"There is no session {args.key!r}.")
    if args.json:
        print_json(session)
        return EXIT_OK
    tokens = session.get("totalTokens")
    facts = {
        "session": session.get("key"),
        "label": session.get("label") or session.get("displayName"),
        "agent": session.get("agentId"),
        "model": model_name(session),
        "thinking": session.get("thinkingLevel"),
        "tokens": None if tokens is None else str(tokens),
        "made": ago(session.get("createdAt")),
        "updated": ago(session.get("updatedAt")),
        "goes on": "yes" if session.get("hasActiveRun") else None,
        "begins": session.get("derivedTitle"),
        "last": session.get("lastMessagePreview"),
    }
    print_facts([(name, str(value)) for name, value in facts.items() if value])
    return EXIT_OK


def reset(args: argparse.Namespace, client: GatewayClient) -> int:
    """Empties one; an exit code. Raises ClientError."""
    return _done(args, client.call("sessions.reset", {"key": args.key}, args.timeout))


def delete(args: argparse.Namespace, client: GatewayClient) -> int:
    """Deletes one; an exit code. Raises ClientError and WrongUse."""
    answer = client.call("sessions.delete", {"key": args.key}, args.timeout)
    if not answer.get("deleted"):
        raise WrongUse(f"There is no session {args.key!r}.")
    return _done(args, answer)


def fork(args: argparse.Namespace, client: GatewayClient) -> int:
    """Copies one, and prints the new one's key; an exit code. Raises ClientError."""
    params = {"key": args.key, **({"messageId": args.message} if args.message else {})}
    return _done(args, client.call("sessions.fork", params, args.timeout))


def _done(args: argparse.Namespace, answer: dict[str, Any]) -> int:
    if args.json:
        print_json(answer)
    else:
        print_text(str(answer.get("key", args.key)))
    return EXIT_OK


def _row(session: dict[str, Any]) -> list[str]:
    label = session.get("label") or session.get("displayName") or ""
    tokens = session.get("totalTokens")
    return [
        str(session.get("key", "")),
        ago(session.get("updatedAt")),
        model_name(session),
        "" if tokens is None else str(tokens),
        str(label),
    ]
