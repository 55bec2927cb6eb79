"""`python -m bench`: see docs/benchmarks.md."""

from __future__ import annotations

import argparse

from bench.start import describe_start, measure_start


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="time from the command to the first 200, and idle memory")
    start.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(describe_start(measure_start(arguments.rounds)))


if __name__ == "__main__":
    main()
