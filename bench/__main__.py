"""Measures what this gateway costs, beside other ways to the same model: docs/benchmarks.md.

Without a command: everything, some 20 minutes, 2 with --quick; with --peers some 10 more.
Tables go to the terminal; figures and a chart to bench/results/.
"""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import replace

from bench.approvals import describe_approvals, measure_approvals
from bench.cluster import describe_cluster, measure_cluster
from bench.commands import describe_commands, measure_commands
from bench.fleet import describe_fleet, read_costs, simulate, write_costs
from bench.instructions import count_all, describe_counts
from bench.publish import publish
from bench.report import RESULTS, describe, write_json
from bench.start import describe_start, measure_start
from bench.suite import QUICK, Suite, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of each load")
    parser.add_argument("--rounds", type=int, help="how many rounds")
    parser.add_argument("--peers", action="store_true", help="LiteLLM's proxy and the published openclaw too")
    commands = parser.add_subparsers(dest="command")
    start = commands.add_parser("start", help="time from the command to the first 200, and idle memory")
    start.add_argument("--starts", type=int, default=5)
    commands.add_parser("instructions", help="machine instructions for one request, counted by valgrind")
    commands.add_parser("commands", help="how long the event loop stands still while agents run commands")
    commands.add_parser("approvals", help="what runs cost that wait for somebody's approval")
    cluster = commands.add_parser("cluster", help="PostgreSQL and Redis, a second worker, a distant follower")
    cluster.add_argument("--seconds", type=float, default=5.0)
    commands.add_parser("fleet", help="a simulation of 1, 10 and 100 workers, from what `cluster` measured")
    commands.add_parser("publish", help="write the last run's tables and chart to docs/")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped at exit
    if arguments.command == "start":
        print(describe_start(measure_start(arguments.starts)))
    elif arguments.command == "instructions":
        print(describe_counts(count_all()))
    elif arguments.command == "commands":
        print(describe_commands(measure_commands()))
    elif arguments.command == "approvals":
        print(describe_approvals(measure_approvals()))
    elif arguments.command == "cluster":
        figures = measure_cluster(arguments.seconds)
        print(describe_cluster(figures))
        print(f"\n{write_costs(figures)}")
    elif arguments.command == "fleet":
        print(describe_fleet(simulate(read_costs())))
    elif arguments.command == "publish":
        publish()
    else:
        _run(arguments)


def _run(arguments: argparse.Namespace) -> None:
    suite = replace(QUICK if arguments.quick else Suite(), peers=arguments.peers)
    if arguments.rounds:
        suite = replace(suite, rounds=arguments.rounds)
    document = run(suite, lambda what: print(f"… {what}", file=sys.stderr, flush=True))
    print(describe(document))
    print(f"\n{write_json(document)}")
    _draw(document)


def _draw(document: dict[str, object]) -> None:
    try:
        from bench.chart import write_chart  # noqa: PLC0415 - slow to import, and only of use here
    except ImportError:
        print("No chart: matplotlib is not installed (requirements-dev.txt).", file=sys.stderr)
        return
    print(write_chart(document, RESULTS / "latest.png"))


if __name__ == "__main__":
    main()
