"""Measure the time saved because members that have ended leave their group.

It trains groups with patience=5 in one process and thread, and the same groups with all members staying to the end.

    python tests/benchmarks/leaving.py      # 100 and 500 members, 3 rounds: about 2 minutes
"""

import statistics
import tempfile
import time
from pathlib import Path

import overhead
import sweep
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from kindling.sweeps.folder import SweepFolder
from kindling.sweeps.grouped import tracker
from kindling.sweeps.grouped.grouping import form_groups
from kindling.sweeps.grouped.train import train
from kindling.sweeps.plan import plan

NEVER = 10**15


def seconds(members: int, min_saved_steps: int, table: list[str], folder: Path) -> float:
    """Measure training a group and writing its folders."""
    tracker.MIN_SAVED_STEPS = min_saved_steps
    overrides = [*table, "pictures=none", "trainer=cpu", f"epochs={overhead.EPOCHS}", "patience=5"]
    rates = sweep.RATES["adam"].partition("=")[2].split(",")
    batch = [[*overrides, f"seed={seed}", f"lr={lr}"] for seed in range(members // len(rates)) for lr in rates]
    with initialize_config_dir(str(overhead.PROJECT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        jobs = plan(loader, loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN), batch)
    SweepFolder(folder).place(jobs)
    (group,), _ = form_groups(jobs, most_bytes=2e9)
    start = time.perf_counter()
    train(group, folder)
    return time.perf_counter() - start


def new_folder() -> str:
    return sweep.kept.enter_context(tempfile.TemporaryDirectory())


def main() -> None:
    torch.set_num_threads(1)
    table, default = sweep.random_table(sweep.NETS[0], "adam", new_folder()), tracker.MIN_SAVED_STEPS
    for members in (100, 500):
        times = {default: [], NEVER: []}
        for _ in range(3):
            for min_saved_steps, found in times.items():
                found.append(seconds(members, min_saved_steps, table, Path(new_folder())))
        leave, stay = (statistics.median(found) for found in times.values())
        print(f"{members} members: {leave:.1f} s, {stay:.1f} s if all stay, ratio {stay / leave:.2f}", flush=True)


if __name__ == "__main__":
    with sweep.kept:
        main()
