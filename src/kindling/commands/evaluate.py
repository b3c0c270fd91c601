"""Evaluate the best checkpoint of a run on its test samples.

This is for a run that was trained with test=false, such as a sweep's jobs, or whose test samples have changed. All test
samples are scored on one device. It writes what a run writes at its end: test/* in result.json, and the confusion
matrix.

With input=<file> the rows of that file are scored instead, from the run folder alone: the metrics, the confusion matrix
and the pictures are written to a new folder (output=..., or evaluate-<file> in the run folder).
"""

import json
from pathlib import Path

from kindling import UserError
from kindling.cli.arguments import parse
from kindling.cli.folders.read import read_result
from kindling.training.prediction.evaluate import evaluate
from kindling.training.result import table
from kindling.training.run_folder import winner

USAGE = "python -m kindling evaluate run=<run folder> [input=<csv>] [output=<folder>] [trust=true] [--json]"


def main(args: list[str]) -> None:
    given = parse([arg for arg in args if arg != "--json"], USAGE)
    folder, trust = Path(given["run"]), given.get("trust") == "true"
    if "output" in given and "input" not in given:
        raise UserError("output=... needs input=...: without it the metrics are added to the run's result.json.")
    if "input" in given:
        from kindling.training.prediction.evaluate_table import evaluate_table  # torch

        output = Path(given["output"]) if "output" in given else None
        place, metrics = evaluate_table(folder, given["input"], output, trust)
        shown, where = metrics, f"\ntest     the rows of {given['input']}\nfolder   {place}"
    else:
        metrics, where = evaluate(folder, trust), ""
        shown = read_result(folder, "metrics")["metrics"] if (folder / "result.json").exists() else metrics
    print(json.dumps(metrics) if "--json" in args else f"{table(shown, best_epoch(winner(folder)))}{where}")


def best_epoch(folder: Path) -> int | str:
    """Return the best epoch of a run, or "unknown" without result.json."""
    return read_result(folder, "best_epoch")["best_epoch"] if (folder / "result.json").exists() else "unknown"
