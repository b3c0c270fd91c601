"""Score the test rows of a run with its best weights.

For a run that was trained with test=false, such as a sweep's jobs, or whose test rows have changed. All test rows are
scored, on one device. The result is the one a run has at its end: test/* in result.json, and the confusion matrix.
"""

import json
from pathlib import Path

from kindling.cli.arguments import parse
from kindling.training.evaluate import evaluate
from kindling.training.result import table

USAGE = "python -m kindling evaluate run=<run folder> [trust=true]"


def main(words: list[str]) -> None:
    given = parse(words, USAGE)
    folder = Path(given["run"])
    metrics = evaluate(folder, given.get("trust") == "true")
    file = folder / "result.json"
    result = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"metrics": metrics}
    print(table(result["metrics"], result.get("best_epoch", "unknown")))
