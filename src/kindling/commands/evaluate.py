"""Evaluate the best checkpoint of a run on its test samples.

This is for a run that was trained with test=false, such as a sweep's jobs, or whose test samples have changed. All test
samples are scored on one device. It writes what a run writes at its end: test/* in result.json, and the confusion
matrix.
"""

import json
from pathlib import Path
from typing import Any

from kindling.cli.arguments import parse
from kindling.training.evaluate import evaluate
from kindling.training.result import table

USAGE = "python -m kindling evaluate run=<run folder> [trust=true]"


def main(args: list[str]) -> None:
    given = parse(args, USAGE)
    folder = Path(given["run"])
    metrics = evaluate(folder, given.get("trust") == "true")
    file = folder / "result.json"
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"metrics": metrics}
    print(table(result["metrics"], result.get("best_epoch", "unknown")))
