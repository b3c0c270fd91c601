"""Run the experiments of the lectures and write the table in notebooks/README.md.

    python tests/benchmarks/lectures.py                 # all rows: 18 minutes on two cores without AVX-512
    python tests/benchmarks/lectures.py ring_mlp delta  # only these rows
    python tests/benchmarks/lectures.py --write         # only write the table again, from lectures.csv

notebooks/lectures.yaml defines the rows, and notebooks/lectures.csv has all measured results. The table and the first
comment of every experiment are made from both (lectures_page.py).
"""

import argparse
import csv
import json
import multiprocessing
import os
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from lectures_page import CSV, PROJECT, by_run, read, rows, shown, unmet, write

FORKS = "forkserver" in multiprocessing.get_all_start_methods()  # not on Windows
PRELOAD = [
    "pytorch_lightning",
    "kindling.sweeps.grouped.grouping",
    "kindling.training.prediction.evaluate",
    "matplotlib.figure",
]  # 6 s of imports


def measure(run: str, row: dict, folder: Path) -> list[dict]:
    """Train a row's runs in an empty folder, and return a record (run, variant, at, value, seconds) of each."""
    if "command" in row:
        return [_run_command(run, row)]
    name, *overrides = shlex.split(run)
    overrides = [f"experiment=lectures/{name}", *overrides, "pictures=none"]
    over, values = row.get("over", "seed"), range(row.get("times", 5))
    if row.get("apart"):
        return [_run_single(run, row, [*overrides, f"{over}={at}"], folder / str(at), at) for at in values]
    swept = [] if row.get("swept") else [f"{over}={','.join(map(str, values))}"]
    # Without workers, because two rows are measured at once.
    workers = [] if row.get("launcher") == "basic" else ["hydra.launcher.workers=0"]
    _train("-m", *overrides, *swept, "test=true", f"hydra.sweep.dir={folder}", *workers, log=folder.with_suffix(".log"))
    given, records = {override.partition("=")[0] for override in (*overrides, "test=")}, []
    for job in json.loads((folder / "jobs.json").read_text(encoding="utf-8"))["jobs"]:
        options = dict(override.split("=", 1) for override in job["overrides"])
        at = options.pop(over, "0")
        variant = " ".join(f"{option}={value}" for option, value in options.items() if option not in given)
        records.append(_record(run, row, folder / job["folder"], variant, at))
    return records + (_run_on_all(run, row["then"], folder) if "then" in row else [])


def _run_single(run: str, row: dict, overrides: list[str], folder: Path, at: int) -> dict:
    """Train a run outside of a sweep, whose leaderboard would fit baselines."""
    folder.parent.mkdir(exist_ok=True)  # for the log next to the run's folder
    _train(*overrides, f"hydra.run.dir={folder}", log=folder.with_suffix(".log"))
    return _record(run, row, folder, "", at)


def _record(run: str, row: dict, folder: Path, variant: str, at) -> dict:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    value = json.dumps(value_of(row["show"], result, folder))
    return {"run": run, "variant": variant, "at": str(at), "value": value, "seconds": str(result["seconds"])}


def value_of(show: str, result: dict, folder: Path):
    """Return what a row shows of a run: a number, numbers, or a text; see notebooks/lectures.yaml."""
    if show == "weights":
        return weights(result["equation"][0])
    if show.startswith("off "):
        wanted = [float(number) for number in show.removeprefix("off ").split(",")]
        return max(abs(a - b) for a, b in zip(weights(result["equation"][0]), wanted, strict=True))
    if show == "learnt":
        return result["metrics"]["train/accuracy"] == 1
    if show == "jump":
        with (folder / "metrics.csv").open(encoding="utf-8") as file:
            losses = [float(line["train/loss"]) for line in csv.DictReader(file)]
        return max(losses[i] / min(losses[:i]) for i in range(10, len(losses)))
    return result[show] if show in result else result["metrics"][show]


def weights(equation: str) -> list[float]:
    """Return the numbers of "y = 0.9 x - 0.2", with the constant last."""
    terms = re.findall(r"(^-|- |\+ |^)([\d.]+(?:e[+-]\d+)?)(?= |$)", equation.partition(" = ")[2])
    return [-float(number) if "-" in sign else float(number) for sign, number in terms]


def _run_command(run: str, row: dict) -> dict:
    started = time.monotonic()
    value = re.search(row["pattern"], _python(*shlex.split(row["command"])[1:]))[1]
    seconds = f"{time.monotonic() - started:.3f}"
    return {"run": run, "variant": "", "at": "0", "value": value, "seconds": seconds}


def _run_on_all(run: str, then: dict, folder: Path) -> list[dict]:
    """Return the result of another command on all runs."""
    _python(*shlex.split(then["command"].format(folder=folder))[1:])
    value = json.loads((folder / then["file"]).read_text(encoding="utf-8"))
    for key in then["keys"]:
        value = value[key]
    return [{"run": run, "variant": then["called"], "at": "0", "value": json.dumps(value), "seconds": ""}]


def _python(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=PROJECT, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _train(*overrides: str, log: Path) -> None:
    """Run `python train.py ...` with one thread, in a process forked after the imports if there is fork."""
    context = multiprocessing.get_context("forkserver" if FORKS else "spawn")
    if FORKS:
        context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=_script, args=(overrides, log))
    process.start()
    process.join()
    # A sweep with a diverged run exits with 1, and the runs of one row are expected to diverge.
    if process.exitcode and "diverged" not in (output := log.read_text(encoding="utf-8")):
        raise RuntimeError(f"train.py {shlex.join(overrides)}\n{output[-4000:]}")


def _script(overrides: tuple[str, ...], log: Path) -> None:
    import torch

    torch.set_num_threads(1)
    with log.open("w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(PROJECT)
    sys.argv = ["train.py", *overrides]
    runpy.run_path("train.py", run_name="__main__")


def measure_all(todo: list[str], known: dict[str, dict], records: dict[str, list[dict]], folder: Path) -> None:
    """Measure two rows at a time in single-threaded processes, and write each when it is done.

    The rows that took longest the last time are first, so that both cores are used until the end.
    """
    lock = Lock()
    last = {run: sum(float(record["seconds"] or 0) for record in records[run]) for run in todo}

    def one(run: str) -> None:
        started = time.monotonic()
        measured = measure(run, known[run], folder / str(todo.index(run)))
        with lock:
            records[run] = measured
            write(records)
        print(f"{time.monotonic() - started:5.0f} s  {run}: {shown(known[run], records[run])}", flush=True)
        for missed in unmet(known[run], records[run]):
            print(f"         NOT REACHED: {missed}", flush=True)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, sorted(todo, key=last.get, reverse=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", help="rows of lectures.yaml; default: all")
    parser.add_argument("--write", action="store_true", help="only write the table")
    args, known = parser.parse_args(), rows()
    if unknown := [run for run in args.runs if run not in known]:
        sys.exit(f"{', '.join(unknown)}: no such row in lectures.yaml. Rows: {', '.join(known)}.")
    records = {run: [] for run in known} | (by_run(read()) if CSV.exists() else {})
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        measure_all([] if args.write else args.runs or list(known), known, records, Path(folder))
    if missing := write(records):
        sys.exit(f"No table was written: {', '.join(missing)} has not been measured.")
    print(f"{time.monotonic() - started:.0f} s in total")


if __name__ == "__main__":
    main()
