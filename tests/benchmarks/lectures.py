"""Runs the lectures' experiments and writes the table in notebooks/README.md.

    python tests/benchmarks/lectures.py                 # all rows: 18 minutes on two cores without AVX-512
    python tests/benchmarks/lectures.py ring_mlp delta  # these rows; the others stay as they are
    python tests/benchmarks/lectures.py --write         # only writes the table again, from lectures.csv

notebooks/lectures.yaml says what a row is, notebooks/lectures.csv keeps every number that was measured; the table, and
the first comment of every experiment, are made of the two (lectures_page.py).
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
    "kindling.training.evaluate",
    "matplotlib.figure",
]  # 6 s of imports


def measure(run: str, row: dict, folder: Path) -> list[dict]:
    """Train a row's runs in `folder`, an empty one; a record (run, variant, at, value, seconds) of each."""
    if "command" in row:
        return [_of_command(run, row)]
    name, *words = shlex.split(run)
    words = [f"experiment=lectures/{name}", *words, "pictures=none"]
    over, values = row.get("over", "seed"), range(row.get("times", 5))
    if row.get("apart"):
        return [_apart(run, row, [*words, f"{over}={at}"], folder / str(at), at) for at in values]
    swept = [] if row.get("swept") else [f"{over}={','.join(map(str, values))}"]
    # Without workers: two rows are measured at once.
    workers = [] if row.get("launcher") == "basic" else ["hydra.launcher.workers=0"]
    _train("-m", *words, *swept, "test=true", f"hydra.sweep.dir={folder}", *workers, log=folder.with_suffix(".log"))
    typed, records = {word.partition("=")[0] for word in (*words, "test=")}, []
    for job in json.loads((folder / "jobs.json").read_text(encoding="utf-8"))["jobs"]:
        options = dict(word.split("=", 1) for word in job["overrides"])
        at = options.pop(over, "0")
        variant = " ".join(f"{option}={value}" for option, value in options.items() if option not in typed)
        records.append(_record(run, row, folder / job["folder"], variant, at))
    return records + (_of_all(run, row["then"], folder) if "then" in row else [])


def _apart(run: str, row: dict, words: list[str], folder: Path, at: int) -> dict:
    """A run that is no job of a sweep, so that no leaderboard fits it a baseline."""
    folder.parent.mkdir(exist_ok=True)  # of the log beside the run's own folder
    _train(*words, f"hydra.run.dir={folder}", log=folder.with_suffix(".log"))
    return _record(run, row, folder, "", at)


def _record(run: str, row: dict, folder: Path, variant: str, at) -> dict:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    value = json.dumps(value_of(row["show"], result, folder))
    return {"run": run, "variant": variant, "at": str(at), "value": value, "seconds": str(result["seconds"])}


def value_of(show: str, result: dict, folder: Path):
    """What a row shows of a run: a number, numbers, or a text; see notebooks/lectures.yaml."""
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
    """The numbers of "y = 0.9 x - 0.2", the constant last."""
    terms = re.findall(r"(^-|- |\+ |^)([\d.]+(?:e[+-]\d+)?)(?= |$)", equation.partition(" = ")[2])
    return [-float(number) if "-" in sign else float(number) for sign, number in terms]


def _of_command(run: str, row: dict) -> dict:
    started = time.monotonic()
    value = re.search(row["pattern"], _python(*shlex.split(row["command"])[1:]))[1]
    seconds = f"{time.monotonic() - started:.3f}"
    return {"run": run, "variant": "", "at": "0", "value": value, "seconds": seconds}


def _of_all(run: str, then: dict, folder: Path) -> list[dict]:
    """What another command makes of all runs together."""
    _python(*shlex.split(then["command"].format(folder=folder))[1:])
    value = json.loads((folder / then["file"]).read_text(encoding="utf-8"))
    for key in then["keys"]:
        value = value[key]
    return [{"run": run, "variant": then["called"], "at": "0", "value": json.dumps(value), "seconds": ""}]


def _python(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=PROJECT, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{shlex.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _train(*words: str, log: Path) -> None:
    """`python train.py ...` with one thread, in a process that has its imports already where there is fork."""
    context = multiprocessing.get_context("forkserver" if FORKS else "spawn")
    if FORKS:
        context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=_script, args=(words, log))
    process.start()
    process.join()
    # A sweep with a run that diverged ends with 1, and one row's are to diverge.
    if process.exitcode and "diverged" not in (said := log.read_text(encoding="utf-8")):
        raise RuntimeError(f"train.py {shlex.join(words)}\n{said[-4000:]}")


def _script(words: tuple[str, ...], log: Path) -> None:
    import torch

    torch.set_num_threads(1)
    with log.open("w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(PROJECT)
    sys.argv = ["train.py", *words]
    runpy.run_path("train.py", run_name="__main__")


def measure_all(todo: list[str], known: dict[str, dict], records: dict[str, list[dict]], folder: Path) -> None:
    """Two rows at a time in processes of one thread; each is kept once measured.

    What took longest the last time is first, so that no core waits at the end.
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
    parser.add_argument("runs", nargs="*", help="rows of lectures.yaml; without any: all")
    parser.add_argument("--write", action="store_true", help="run nothing")
    args, known = parser.parse_args(), rows()
    if unknown := [run for run in args.runs if run not in known]:
        sys.exit(f"{', '.join(unknown)}: no such row in lectures.yaml, there are {', '.join(known)}.")
    records = {run: [] for run in known} | (by_run(read()) if CSV.exists() else {})
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        measure_all([] if args.write else args.runs or list(known), known, records, Path(folder))
    if missing := write(records):
        sys.exit(f"No table: {', '.join(missing)} was never measured.")
    print(f"{time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    main()
