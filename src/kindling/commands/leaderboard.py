"""Rank the jobs of a sweep again."""

from pathlib import Path

from kindling.cli.arguments import parse
from kindling.sweeps.leaderboard.make import make_board

USAGE = "python -m kindling leaderboard sweep=<sweep folder>"


def main(args: list[str]) -> None:
    make_board(Path(parse(args, USAGE)["sweep"]))
