"""Memory of long runs, of many fits in one process, and of large sweeps: it should not grow with their length.

    python tests/benchmarks/memory.py            # about 8 minutes on two cores

It prints the highest memory of sweeps with 1,000 and 10,000 jobs, and the resident memory of a process that trains
2,000 epochs, then 200 times without and 200 times with pictures.
"""

import gc
import os
import sys
import tempfile
from pathlib import Path

import overhead
import pytorch_lightning as pl
import sweep
from hydra import compose, initialize_config_dir

sys.path.insert(0, str(overhead.PROJECT))
import train

EPOCHS, FITS, JOBS = 2_000, 200, (1_000, 10_000)


def resident() -> float:
    """Return this process's resident memory in MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Memory(pl.Callback):
    """Prints the memory after some epochs."""

    supports_multi_step = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch + 1 in (EPOCHS // 10, EPOCHS // 2, EPOCHS):
            print(f"epoch {trainer.current_epoch + 1:6,}  {resident():6.0f} MB", flush=True)


def fit(folder: str, *overrides: str) -> None:
    args = ["data=diabetes", "trainer=cpu", "verbose=false", "callbacks.progress=null", *overrides]
    with initialize_config_dir(str(overhead.PROJECT / "conf"), version_base="1.3"):
        cfg = compose("config", [*args, f"folder={folder}"])
    train.train(cfg, args)


def main() -> None:
    with tempfile.TemporaryDirectory() as base:
        for jobs in JOBS:  # first, because a process inherits the highest memory of the one that started it
            fixed = sweep.random_table(sweep.NETS[0], "adam", base)
            above = sweep.command("together", fixed, ["lr=0.003"], jobs)["mb"]
            print(f"jobs  {jobs:6,}  {above:6.0f} MB above the imports", flush=True)
        fit(f"{base}/long", f"epochs={EPOCHS}", "+callbacks.memory={_target_: memory.Memory}")
        for pictures in ("none", "final"):
            for i in range(1, FITS + 1):
                fit(f"{base}/{pictures}{i}", "epochs=3", f"pictures={pictures}")
                if i in (FITS // 10, FITS // 2, FITS):
                    print(f"fit   {i:6,}  {resident():6.0f} MB  pictures={pictures}", flush=True)


if __name__ == "__main__":
    main()
