"""Folders and commands of damage.py, and the results of a command that are compared."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

# The libraries and the package are imported once, because a command runs in a fork of this process.
import hydra  # noqa: F401
import matplotlib.figure  # noqa: F401
import tensorboard  # noqa: F401
import torch
import torch.utils.tensorboard

import kindling.callbacks.pictures
import kindling.commands.report.sweep
import kindling.training.prediction.predictor  # noqa: F401
from kindling import UserError
from kindling.training.checkpoint_files import load

PROJECT = Path(__file__).parents[2]
RUN, JOB = "runs/blobs-deep/one", "runs/csv-deep/one"
SWEEP, SEARCH = "runs/sweeps/many", "runs/sweeps/search"
TABLE = ["data=csv", "data.path=table.csv", "data.target=label", "trainer=cpu"]
SEEDS = ["-m", *TABLE, "epochs=2", "seed=0,1,2"]
COMMANDS: dict[str, dict[str, list[str]]] = {
    "run": {
        "resume": ["train", f"resume={RUN}"],
        "continue": ["train", "resume=last", "epochs=4"],
        "evaluate": ["evaluate", f"run={RUN}", "--json"],
        "pictures": ["pictures", f"run={RUN}"],
        "report": ["report", f"run={RUN}"],
        "compare": ["leaderboard", RUN, RUN],
    },
    "table": {
        "resume": ["train", f"resume={JOB}"],
        "predict": ["predict", f"run={JOB}", "input=table.csv", "output=found.csv"],
        "evaluate": ["evaluate", f"run={JOB}", "--json"],
        "score": ["evaluate", f"run={JOB}", "input=table.csv", "--json"],
        "export": ["export", f"run={JOB}", "output=model.pt2"],
        "report": ["report", f"run={JOB}"],
    },
    "sweep": {
        "resume": ["train", f"resume={SWEEP}"],
        "last": ["train", "resume=last", *SEEDS],
        "predict": ["predict", f"run={SWEEP}", "input=table.csv", "output=found.csv"],
        "average": ["predict", f"run={SWEEP}", "input=table.csv", "output=found.csv", "ensemble=true"],
        "leaderboard": ["leaderboard", f"sweep={SWEEP}"],
        "ensemble": ["ensemble", f"sweep={SWEEP}"],
        "report": ["report", f"run={SWEEP}"],
    },
    "search": {"resume": ["train", f"resume={SEARCH}"]},
}
MADE: dict[str, list[list[str]]] = {
    "run": [["data=blobs", "epochs=3", "trainer=cpu", "data.num_test=200", f"hydra.run.dir={RUN}"]],
    "table": [[*TABLE, "epochs=3", f"hydra.run.dir={JOB}"]],
    "sweep": [[*SEEDS, "sweep.name=many"]],
    "search": [
        ["-m", *TABLE, "epochs=2", "pictures=none", "hydra/sweeper=optuna", "lr=interval(0.001,0.1)",
         "sweep.name=search", "hydra.sweeper.n_trials=2"],
    ],
}  # fmt: skip


def make_folders(name: str, place: Path) -> None:
    """Write a table, and train the runs of a kind of folder."""
    rows = [f"{i % 7 - 3},{i % 5 - 2},{i % 2},{int(2 * (i % 7 - 3) + i % 5 - 2 > 0)}" for i in range(200)]
    (place / "table.csv").write_text("\n".join(["a,b,odd,label", *rows]) + "\n", encoding="utf-8")
    for args in MADE[name]:
        command = [sys.executable, str(PROJECT / "train.py"), *args]
        done = subprocess.run(command, cwd=place, capture_output=True, encoding="utf-8")
        if done.returncode:
            sys.exit(f"{' '.join(args)} failed:\n{done.stdout}{done.stderr}")


def outcome(ended: tuple[int, str], file: Path, whole: dict[str, Any], command: str, place: Path) -> str:
    """Return "same", "named", "sentence" or "bad"; see damage.py."""
    code, output = ended
    if "Traceback" in output or code not in (0, 1, 2):
        return "bad"
    if code == 2:
        return "sentence"
    if code == 1:  # a job of a sweep has not finished, or the leaderboard could not be made
        return "named" if file.name in output else "bad"
    found = results_of(command, place, output)
    if {name: found.get(name) for name in whole} == whole:
        return "same"
    in_folder = file.parent.parent if file.parent.name in (".hydra", "checkpoints") else file.parent
    return "named" if file.name in output or in_folder.name in re.sub(r"folder .*", "", output) else "bad"


def results_of(command: str, place: Path, output: str) -> dict[str, Any]:
    """Return what a command has written or printed, without times and paths of temporary files."""
    if command in ("evaluate", "score"):
        return {"metrics": json.loads(next(line for line in output.splitlines() if line.startswith("{")))}
    if command in ("predict", "average"):
        return {"predictions": _text(place / "found.csv")}
    if command == "export":
        return {"outputs": _outputs(place)}
    if command == "compare":
        return {"table": output}
    if command == "report":
        (page,) = place.glob("runs/*/*/report.html")
        return {"page": re.sub(r"[\d.]+ s\b", "", page.read_text(encoding="utf-8"))}
    if command in ("leaderboard", "ensemble"):
        return {file.name: _text(file) for file in place.glob(f"runs/sweeps/*/{command}.*")}
    if command == "pictures":
        return {"pictures": sorted(file.name for file in place.glob("runs/*/*/*.png"))}
    found: dict[str, Any] = {}
    for file in sorted(place.glob("runs/**/*")):
        name = str(file.relative_to(place))
        if file.suffix == ".ckpt":
            found[name] = _weights(file)
        elif file.name in ("metrics.csv", "split.csv", "result.json", "config.yaml") or "confusion" in file.name:
            found[name] = _text(file) if file.suffix != ".png" else ""
    return found


def _weights(file: Path) -> dict[str, Any]:
    try:
        return {key: tensor.tolist() for key, tensor in load(file)["state_dict"].items()}
    except UserError as error:
        return {"damaged": str(error)}


def _outputs(place: Path) -> list[list[float]]:
    with (place / "table.csv").open(encoding="utf-8") as file:
        rows = [[float(row[name]) for name in ("a", "b", "odd")] for row in csv.DictReader(file)]
    return torch.export.load(place / "model.pt2").module()(torch.tensor(rows, dtype=torch.float64)).tolist()


def _text(file: Path) -> str:
    text = file.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r'"(seconds|version|git|command)": .*', "", text) if file.suffix == ".json" else text
    return re.sub(r"\d+\.\d+ s\b", "", text)


os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
