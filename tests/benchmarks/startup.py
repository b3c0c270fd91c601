"""From the command to the first training step, against the bare imports of the libraries that a run needs.

    python tests/benchmarks/startup.py             # 7 interleaved rounds, about 2 minutes

Medians of whole processes. --help and --cfg job must stay under a tenth of the time to the first step.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[2]
IMPORTS = "import os, hydra, torch, pytorch_lightning, pandas, tensorboard; os._exit(0)"  # ends as the first step does
FIRST_STEP = ["+callbacks.exit._target_=startup.ExitAtFirstStep"]


def __getattr__(name: str):
    """`startup.ExitAtFirstStep`, for the timed process only, so that this script does not import Lightning."""
    if name != "ExitAtFirstStep":
        raise AttributeError(name)
    from pytorch_lightning import Callback

    class ExitAtFirstStep(Callback):
        supports_multi_step = True

        def on_train_batch_start(self, *_):
            os._exit(0)

    return ExitAtFirstStep


def seconds(*words: str) -> float:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> None:
    train = str(PROJECT / "train.py")
    ways = {
        "bare imports": ("-c", IMPORTS),
        "to the first step": (train, *FIRST_STEP),
        "--help": (train, "--help"),
        "--cfg job": (train, "--cfg", "job"),
    }
    for words in ways.values():
        seconds(*words)  # warm the disk
    times = {name: [] for name in ways}
    for _ in range(7):
        for name, words in ways.items():
            times[name].append(seconds(*words))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:20} {value:6.2f} s")
    print(f"first step / bare imports  {medians['to the first step'] / medians['bare imports']:.2f}   (at most 1.2)")
    for name in ("--help", "--cfg job"):
        print(f"{name} / first step  {medians[name] / medians['to the first step']:.3f}   (under 0.1)")


if __name__ == "__main__":
    main()
