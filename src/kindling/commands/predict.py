"""Predict the rows of a CSV with a trained model.

The output has one row per input row, in the same order: the class and the probability of each class, or the value in
the unit of the target. Columns are matched by name; the target may be absent. For the folder of a sweep, the best
job is used, or with ensemble=true the weighted mean of the jobs in its ensemble.json, which is made if it is missing.
`-` stands for standard input or output. Only the run folder is needed, not the training data.

A run of images predicts image files, e.g. input='digits/*.png', of any size, in colour or grey, dark on light or light
on dark. They are cropped, scaled and centred like MNIST's images; next to the output, a picture shows
what the model saw.
"""

import glob
import importlib.util
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kindling import UserError
from kindling.cli.arguments import parse
from kindling.files import replacing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

USAGE = (
    "python -m kindling predict run=<run or sweep folder> input=<csv or images> output=<csv> [ensemble=true] "
    "[trust=true] [--json]"
)


def predict(run: Path, path: str, output: str, trust: bool = False, ensemble: bool = False) -> dict[str, object]:
    """Write the predictions and return a summary: the run, the number of rows, the columns and the output.

    Args:
        run: the folder of a run or sweep.
        path: a CSV, or image files.
        output: a CSV to write, or "-".
        trust: load checkpoints even though that may run code.
        ensemble: use the ensemble of the sweep instead of its best job.

    Raises:
        UserError: there is no such run, or the input cannot be read or lacks a column.
    """
    if output != "-" and not Path(output).parent.is_dir():
        raise UserError(f"output={output} is in a folder that does not exist: create {Path(output).parent} first.")
    from kindling.data.tables.csv_file import open_csv
    from kindling.training.prediction.ensemble_predictor import EnsemblePredictor
    from kindling.training.prediction.image_predictor import SUFFIXES, ImagePredictor
    from kindling.training.prediction.predictor import Predictor

    summary: dict[str, object] = {}
    predictor: Any
    is_image = Path(path).suffix.lower() in SUFFIXES
    if ensemble and is_image:
        raise UserError("ensemble=true predicts tables only: leave it out to predict images with the best job.")
    if ensemble:
        _make_ensemble(run, trust)
    if is_image:
        predictor = ImagePredictor(run, trust)
        table, images = predictor(_matching(path))
        if output != "-":
            summary["picture"] = str(_draw(images, table, Path(output)))
    else:
        predictor = EnsemblePredictor(run, trust) if ensemble else Predictor(run, trust)
        table = predictor(open_csv(path, predictor.missing, option="input"))
    _write(table, output)
    found = {"run": str(predictor.folder), "rows": len(table), "columns": list(table.columns), "output": output}
    return found | summary


def _write(table: "pd.DataFrame", output: str) -> None:
    if output == "-":
        table.to_csv(sys.stdout, index=False)
    else:
        with replacing(Path(output)) as part:
            table.to_csv(part, index=False)


def _make_ensemble(run: Path, trust: bool) -> None:
    """Make the ensemble of a sweep if there is none.

    Raises:
        UserError: the folder is not that of a sweep, or its jobs cannot be averaged.
    """
    if (run / "ensemble.json").is_file():
        return
    if not (run / "leaderboard.csv").is_file() and not (run / "jobs.json").is_file():
        raise UserError(f"run={run} is not the folder of a sweep, so it has no ensemble: leave out ensemble=true.")
    name = f"{__package__}.ensemble"
    if not importlib.util.find_spec(name):
        raise UserError(f"{run} has no ensemble.json, and the command that makes it has been deleted.")
    importlib.import_module(name).ensemble(run, trust)


def _matching(pattern: str) -> list[Path]:
    """Return the files that a name or pattern stands for, in the order of their names."""
    files = sorted(Path(name) for name in glob.glob(pattern))
    if not files:
        raise UserError(f"input={pattern}: no such file. Put a pattern in quotes, e.g. input='digits/*.png'.")
    return files


def _draw(images: "np.ndarray", table: "pd.DataFrame", output: Path) -> Path:
    from kindling.training.prediction.image_predictor import sheet

    file = output.with_suffix(".png")
    labels = [f"{Path(name).stem}: {found}" for name, found in zip(table["file"], table["prediction"], strict=True)]
    with replacing(file) as part:
        sheet(images, labels).save(part, format="png")
    return file


def main(args: list[str]) -> None:
    """Run the command."""
    given = parse([arg for arg in args if arg != "--json"], USAGE)
    if given.get("ensemble", "true") not in ("true", "false"):
        raise UserError(f"ensemble={given['ensemble']} is invalid: choose true or false.")
    if given["output"] == "-":
        logging.basicConfig(format="%(message)s", stream=sys.stderr, force=True)
    with tempfile.TemporaryDirectory() as folder:
        path = given["input"]
        if path == "-":
            path = str(Path(folder) / "standard-input.csv")
            Path(path).write_bytes(sys.stdin.buffer.read())
        trust, ensemble = (given.get(name) == "true" for name in ("trust", "ensemble"))
        summary = predict(Path(given["run"]), path, given["output"], trust, ensemble)
    stream = sys.stderr if given["output"] == "-" else sys.stdout
    if "--json" in args:
        print(json.dumps(summary), file=stream)
    else:
        rows = f"{summary['rows']:,} prediction{'s' * (summary['rows'] != 1)}"
        where = "standard output" if given["output"] == "-" else given["output"]
        print(f"wrote {rows} of {'the ensemble of ' * ensemble}{summary['run']} to {where}", file=stream)
