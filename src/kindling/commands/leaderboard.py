"""Rank the jobs of a sweep again, or compare runs of any folders.

Several folders of runs are compared: a line for each, with the options in which they differ, the metrics of the test
samples (or of the validation samples), parameters, epochs and status, the best one first.
"""

import json
from pathlib import Path

from kindling.cli.arguments import parse

USAGE = "python -m kindling leaderboard sweep=<sweep folder>, or: <run folder> <run folder> ... [--json]"


def main(args: list[str]) -> None:
    folders = [arg for arg in args if arg != "--json"]
    if len(folders) > 1 and not any(arg.startswith("sweep=") for arg in folders):  # names of runs have a "=", too
        from kindling.sweeps.leaderboard.compare import compare

        records, table = compare([Path(folder) for folder in folders])
        print(json.dumps(records, default=str) if "--json" in args else table)
        return
    from kindling.sweeps.leaderboard.make import make_board

    make_board(Path(parse(args, "leaderboard sweep=<sweep folder>")["sweep"]))
