"""Measure the share of callbacks in the time of fit and test of a default run.

    python tests/benchmarks/shares.py              # 7 runs of `python train.py`, in separate processes

It prints medians of the seconds in a callback's methods over the seconds in `Trainer.fit` and `Trainer.test`, and fails
if a run has not written its files.
"""

import contextlib
import json
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[2]
TIMED = {
    "pictures": ("kindling.callbacks.pictures.Pictures", "curves_test.png"),
    "doctor": ("kindling.callbacks.doctor.Doctor", "result.json"),
    "confusion matrices": ("kindling.callbacks.confusion_matrix.ConfusionMatrix", "confusion_matrix.png"),
}


def timed_run() -> None:
    """Run `python train.py` in this process with timers, and print the seconds as the last line."""
    import pytorch_lightning as pl
    from hydra.utils import get_class

    seconds = dict.fromkeys(["all", *TIMED], 0.0)

    def clock(kind: type, method: str, name: str) -> None:
        original = getattr(kind, method)

        def timed(*args, **kwargs):
            start = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                seconds[name] += time.perf_counter() - start

        setattr(kind, method, timed)

    for method in ("fit", "test"):
        clock(pl.Trainer, method, "all")
    for name, (target, _) in TIMED.items():
        kind = get_class(target)
        for method in (method for method in dir(kind) if method.startswith("on_")):
            if getattr(kind, method) is not getattr(pl.Callback, method):
                clock(kind, method, name)
    sys.argv = [str(PROJECT / "train.py"), *sys.argv[2:]]
    with contextlib.suppress(SystemExit):
        runpy.run_path(sys.argv[0], run_name="__main__")
    print(json.dumps(seconds))


def shares(*overrides: str) -> dict[str, float]:
    """Return the shares of a run of `python train.py <overrides>` in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--timed-run", *overrides, "hydra.run.dir=run"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, encoding="utf-8")
        missing = [file for _, file in TIMED.values() if not Path(folder, "run", file).is_file()]
        assert not missing, missing
    seconds = json.loads(done.stdout.splitlines()[-1])
    return {"all": seconds["all"]} | {name: seconds[name] / seconds["all"] for name in TIMED}


def row(rounds: int, *overrides: str) -> str:
    found = [shares(*overrides) for _ in range(rounds)]
    medians = {name: statistics.median(one[name] for one in found) for name in found[0]}
    cells = "  ".join(f"{name} {medians[name]:.1%}" for name in TIMED)
    return f"python train.py {' '.join(overrides):35} fit and test {medians['all']:.2f} s, of which  {cells}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--timed-run"]:
        timed_run()
    else:
        for overrides in ("", "data=ring", "data=mnist_sample model=cnn"):
            print(row(7, *overrides.split()), flush=True)
