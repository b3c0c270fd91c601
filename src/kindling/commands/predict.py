"""Predict the rows of a CSV with a trained model.

The output has one row per input row, in the same order: the class and the probability of each class, or the value in
the unit of the target. Columns are matched by name; the target may be absent. For the folder of a sweep, the best
job is used. `-` stands for standard input or output. Only the run folder is needed, not the training data.
"""

import json
import logging
import sys
import tempfile
from pathlib import Path

from kindling import UserError
from kindling.cli.arguments import parse
from kindling.files import replacing

USAGE = "python -m kindling predict run=<run or sweep folder> input=<csv> output=<csv> [trust=true] [--json]"


def predict(run: Path, path: str, output: str, trust: bool = False) -> dict[str, object]:
    """Write the predictions and return a summary: the run, the number of rows, the columns and the output.

    Raises:
        UserError: there is no such run, or the input cannot be read or lacks a column.
    """
    from kindling.data.csv_file import open_csv
    from kindling.training.predictor import Predictor

    predictor = Predictor(run, trust)
    table = predictor(open_csv(path, predictor.missing, option="input"))
    if output == "-":
        table.to_csv(sys.stdout, index=False)
    else:
        file = Path(output)
        if not file.parent.is_dir():
            raise UserError(f"output={output} is in a folder that does not exist: create {file.parent} first.")
        with replacing(file) as part:
            table.to_csv(part, index=False)
    return {"run": str(predictor.folder), "rows": len(table), "columns": list(table.columns), "output": output}


def main(args: list[str]) -> None:
    """Run the command."""
    given = parse([arg for arg in args if arg != "--json"], USAGE)
    if given["output"] == "-":
        logging.basicConfig(format="%(message)s", stream=sys.stderr, force=True)
    with tempfile.TemporaryDirectory() as folder:
        path = given["input"]
        if path == "-":
            path = str(Path(folder) / "standard-input.csv")
            Path(path).write_bytes(sys.stdin.buffer.read())
        summary = predict(Path(given["run"]), path, given["output"], given.get("trust") == "true")
    stream = sys.stderr if given["output"] == "-" else sys.stdout
    if "--json" in args:
        print(json.dumps(summary), file=stream)
    else:
        rows = f"{summary['rows']:,} prediction{'s' * (summary['rows'] != 1)}"
        where = "standard output" if given["output"] == "-" else given["output"]
        print(f"wrote {rows} of {summary['run']} to {where}", file=stream)
