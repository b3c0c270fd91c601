"""Rank the jobs of a sweep again, or compare runs of any folders.

Several folders of runs are compared: a line for each, with the options in which they differ, the metrics of the test
samples (or of the validation samples), parameters, epochs and status, the best one first.

baselines=[boosting,forest] also scores gradient boosting and a random forest, which need scikit-learn.
"""

import json
from pathlib import Path

from kindling.cli.arguments import parse

USAGE = (
    "python -m kindling leaderboard sweep=<sweep folder> [baselines=[boosting,forest]], "
    "or: <run folder> <run folder> ... [--json]"
)


def main(args: list[str]) -> None:
    folders = [arg for arg in args if arg != "--json"]
    if len(folders) > 1 and not any(
        arg.startswith(("sweep=", "baselines=")) for arg in folders
    ):  # names of runs have a "=", too
        from kindling.sweeps.leaderboard.compare import compare

        records, table = compare([Path(folder) for folder in folders])
        print(json.dumps(records, default=str) if "--json" in args else table)
        return
    from kindling.sweeps.leaderboard.baselines.trees import tree_names
    from kindling.sweeps.leaderboard.make import make_board

    given = parse(args, "leaderboard sweep=<sweep folder> [baselines=[boosting,forest]]")
    make_board(Path(given["sweep"]), tree_names(given.get("baselines", ""), "baselines"))
