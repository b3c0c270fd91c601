"""Measure the time from the command to the first training step, and compare it with importing the needed libraries.

    python tests/benchmarks/startup.py             # 7 interleaved rounds, about 2 minutes

It prints medians of whole processes. --help and --cfg job must take less than a tenth of the time to the first step.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[2]
IMPORTS = "import os, hydra, torch, pytorch_lightning, pandas, tensorboard; os._exit(0)"  # exits like the first step
FIRST_STEP = ["+callbacks.exit._target_=startup.ExitAtFirstStep"]


def __getattr__(name: str):
    """Make `startup.ExitAtFirstStep` only in the timed process, so that this script does not import Lightning."""
    if name != "ExitAtFirstStep":
        raise AttributeError(name)
    from pytorch_lightning import Callback

    class ExitAtFirstStep(Callback):
        supports_multi_step = True

        def on_train_batch_start(self, *_):
            os._exit(0)

    return ExitAtFirstStep


def seconds(*arguments: str) -> float:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    train = str(PROJECT / "train.py")
    ways = {
        "bare imports": ("-c", IMPORTS),
        "to the first step": (train, *FIRST_STEP),
        "--help": (train, "--help"),
        "--cfg job": (train, "--cfg", "job"),
    }
    for arguments in ways.values():
        seconds(*arguments)  # warm-up of the disk cache
    times = {name: [] for name in ways}
    for _ in range(7):
        for name, arguments in ways.items():
            times[name].append(seconds(*arguments))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:20} {value:6.2f} s")
    print(f"first step / bare imports  {medians['to the first step'] / medians['bare imports']:.2f}   (at most 1.2)")
    for name in ("--help", "--cfg job"):
        print(f"{name} / first step  {medians[name] / medians['to the first step']:.3f}   (under 0.1)")


if __name__ == "__main__":
    main()
