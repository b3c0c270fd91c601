"""Kill runs and sweeps at random moments, resume them, and compare them with uninterrupted ones.

    python tests/benchmarks/chaos.py                        # 100 kills take about 15 minutes on two cores
    python tests/benchmarks/chaos.py 7 20 "cosine, ema"     # a seed, a number of kills, and the kinds of runs
    python tests/benchmarks/chaos.py --trainer gpu --workers 12

Every run is sent SIGKILL, SIGTERM, SIGINT, or SIGINT twice, either at a random time, or when a random file of its
folder appears, so that the moments also fall into start-up, the writing of checkpoints, the test, and the drawing of
pictures. A quarter of the resumed runs are killed again. It prints a line per kill, and exits with code 1 unless all
runs ended like the uninterrupted ones (see kindling.callbacks.resume_check.differences), none with a traceback.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kindling.callbacks.resume_check.differences import differences

PROJECT = Path(__file__).parents[2]
OFTEN = "+callbacks.checkpoints.every_seconds=0.05"
KINDS = {
    "sgd": "data=blobs optimizer=sgd epochs=150",
    "dropout": f"data=blobs dropout=0.2 batch_norm=true epochs=100 {OFTEN}",
    "execution of 3 steps": f"data=blobs batch_size=4 steps_per_execution=3 epochs=12 {OFTEN}",
    "one step at a time": f"data=ring steps_per_execution=1 epochs=15 {OFTEN}",
    "onecycle": f"data=ring schedule=onecycle optimizer=nesterov epochs=80 {OFTEN}",
    "cosine, ema": f"data=spiral schedule=cosine average=ema epochs=60 {OFTEN}",
    "swa": f"data=xor average=swa optimizer=radam epochs=60 {OFTEN}",
    "plateau, patience": f"data=diabetes schedule=plateau patience=6 lr=0.05 epochs=100 {OFTEN}",
    "realmlp": f"data=diabetes model=realmlp epochs=20 {OFTEN}",
    "regression": "data=csv data.path=data/diabetes.csv data.target=bmi data.task=regression epochs=30",
    "quantiles": "data=csv data.path=data/diabetes.csv data.target=bmi data.task=regression loss=quantile "
    f"quantiles=[0.1,0.5,0.9] epochs=20 {OFTEN}",
    "calibrated, weighted": f"data=diabetes data.balance=true calibrate=true epochs=40 {OFTEN}",
    "digits": f"data=mnist_sample model=cnn epochs=3 {OFTEN}",
    "shifted digits": f"data=mnist_sample model=linear epochs=6 data.shift=2 {OFTEN}",
    "series": f"data=blobs model=linear pictures=series logger=[csv,tensorboard] epochs=12 {OFTEN}",
    "float64, clip, l1": f"data=diabetes precision=64-true clip=0.1 l1=0.001 optimizer=adamw epochs=40 {OFTEN}",
    "max_steps": f"data=blobs max_steps=333 epochs=50 {OFTEN}",
    "two processes": f"data=blobs trainer=ddp_cpu epochs=40 {OFTEN}",
    "own module": f"data=blobs model=stock epochs=60 {OFTEN}",
    "own DataLoader": f"data=own model=stock epochs=12 {OFTEN}",
    "own DataLoader with a state": f"data=ordered model=stock +model.train='' epochs=12 {OFTEN}",
    "sweep in groups": "-m data=blobs optimizer=sgd,adam lr=0.01,0.1 seed=0,1 epochs=150",
    "sweep of single jobs": "-m data=blobs steps_per_execution=1 seed=0,1,2,3,4 epochs=8 hydra.launcher.workers=2",
    "sweep one by one": "-m data=ring steps_per_execution=1 seed=0,1,2 epochs=6 hydra.launcher.workers=0",
    "sweep with dropout": "-m data=blobs dropout=0,0.2 seed=0,1 epochs=30",
    "search": "-m data=blobs hydra/sweeper=optuna lr=tag(log,interval(0.001,0.1)) hydra.sweeper.n_trials=6 "
    "hydra.sweeper.batch=3 hydra.sweeper.seed=0 epochs=20",
}
SIGNALS = {"SIGKILL": [signal.SIGKILL], "SIGTERM": [signal.SIGTERM], "SIGINT": [signal.SIGINT]}
SIGNALS["SIGINT twice"] = SIGNALS["SIGINT"] * 2
WRITING = "checkpoints/last.ckpt.part", "checkpoints/best.ckpt.part", "metrics.csv.part", "result.json.part"


class Kind:
    """A command, and the folder, seconds and files of its uninterrupted run."""

    def __init__(self, name: str, base: Path, trainer: str):
        self.name, self.base = name, base / name.replace(" ", "_").replace(",", "")
        words = KINDS[name].split()
        self.is_sweep = words[0] == "-m"
        own = [f"hydra.searchpath=[file://{base / 'conf'}]"] if "model=stock" in words else []
        device = [f"trainer={trainer}"] + ["+trainer.deterministic=true"] * (trainer != "cpu")
        self.args = [*words, *own, *(device if "trainer=ddp_cpu" not in words else [])]
        self.whole = self.base / "whole"
        started = time.monotonic()
        process = self.start(self.args, self.whole)
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{name}: {output[-2000:]}")
        self.seconds = time.monotonic() - started
        names = (path.relative_to(self.whole).as_posix() for path in self.whole.rglob("*"))
        self.files = sorted({*names, *WRITING} if not self.is_sweep else set(names))

    def start(self, args: list[str], folder: Path) -> subprocess.Popen:
        place = "hydra.sweep.dir" if self.is_sweep else "hydra.run.dir"
        command = [sys.executable, str(PROJECT / "train.py"), *args]
        command += [] if any(arg.startswith("resume=") for arg in args) else [f"{place}={folder}"]
        paths = os.pathsep.join(str(PROJECT / part) for part in ("tests", "tests/benchmarks"))
        return subprocess.Popen(
            command, cwd=PROJECT, env=os.environ | {"PYTHONPATH": paths}, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


class Kill:
    """One run that is killed and resumed; `line` describes what happened, and `faults` what should not have."""

    def __init__(self, kind: Kind, number: int, seed: int):
        self.kind, self.folder = kind, kind.base / str(number)
        self.random = random.Random(f"{seed} {number}")
        self.faults: list[str] = []
        self.hits = 0  # signals that were sent to a running process
        self.line = f"{number:4} {kind.name:28}"

    def run(self) -> "Kill":
        process = self.kind.start(self.kind.args, self.folder)
        for _ in range(2):
            self._kill(process)
            process = self._resume()
            if self.random.random() > 0.25:
                break
        self._end(process, {0})
        if not self.faults:
            self.faults += [*differences(self.kind.whole, self.folder), *self._left()]
        self.line += " (it had ended before)" * (not self.hits)
        self.line += "  identical" if not self.faults else "".join(f"\n       {fault}" for fault in self.faults)
        print(self.line, flush=True)
        if not self.faults:
            shutil.rmtree(self.folder)
        return self

    def _kill(self, process: subprocess.Popen) -> None:
        name = self.random.choice(list(SIGNALS))
        moment, file = self.random.random() * self.kind.seconds, ""
        if self.random.random() < 0.5:
            file, delay = self.random.choice(self.kind.files), self.random.choice([0, 0, 0.01, 0.1])
            moment = self.kind.seconds * 1.5
        end = time.monotonic() + moment
        while process.poll() is None and time.monotonic() < end and not (file and (self.folder / file).exists()):
            time.sleep(0.001)
        time.sleep(delay if file else 0)
        self.hits += process.poll() is None
        self.line += f"  {name} {f'when {Path(file).name} appears' if file else f'after {moment:.1f} s'}"
        for i, number in enumerate(SIGNALS[name]):
            time.sleep(self.random.random() / 2 if i else 0)
            process.send_signal(number)
        self._end(process, {0, 1, 130, 143, -9} if name == "SIGKILL" else {0, 130, 143})

    def _resume(self) -> subprocess.Popen:
        # Hydra writes overrides.yaml after the other two files; in a sweep, multirun.yaml is renamed into place.
        last = self.folder / ("multirun.yaml" if self.kind.is_sweep else ".hydra/overrides.yaml")
        if last.exists() and last.stat().st_size:
            return self.kind.start([f"resume={self.folder}"], self.folder)
        self.line += " (nothing to resume)"
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.kind.start(self.kind.args, self.folder)

    def _end(self, process: subprocess.Popen, codes: set[int]) -> None:
        try:
            output, _ = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            self.faults.append("did not end within two minutes")
        if "init_import_site" in output or (process.returncode in (-2, -15) and "train.py" not in output):
            return  # ended while Python itself started, before the first line of train.py
        if "Traceback" in output or process.returncode not in codes:
            self.faults.append(f"exit code {process.returncode}: ...{output[-1500:]}")

    def _left(self) -> list[str]:
        return [f"{path.relative_to(self.folder)} is left" for path in self.folder.rglob("*.part") if path.is_file()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("kills", type=int, nargs="?", default=100)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--trainer", default="cpu")
    parser.add_argument("--workers", type=int, default=2, help="runs at the same time")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos") as place:
        base = Path(os.environ.get("CHAOS", place))
        shutil.copytree(PROJECT / "tests" / "benchmarks" / "chaos_conf", base / "conf", dirs_exist_ok=True)
        with ThreadPoolExecutor(args.workers) as pool:
            kinds = list(pool.map(lambda name: Kind(name, base, args.trainer), args.kinds))
            print(f"{len(kinds)} kinds, {min(k.seconds for k in kinds):.1f} to {max(k.seconds for k in kinds):.1f} s")
            kills = (Kill(kinds[i % len(kinds)], i, args.seed) for i in range(args.kills))
            done = list(pool.map(Kill.run, kills))
    bad, done = [kill for kill in done if kill.faults], [kill for kill in done if kill.hits]
    print(f"\n{'kind':28}  kills  identical")
    for name, number in Counter(kill.kind.name for kill in done).items():
        print(f"{name:28}  {number:5}  {number - sum(kill.kind.name == name for kill in bad):9}")
    print(f"{'all':28}  {len(done):5}  {len(done) - len(bad):9}")
    sys.exit(bool(bad) or not done)


if __name__ == "__main__":
    main()
