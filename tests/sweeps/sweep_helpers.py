"""Plan and train the jobs of a sweep in this process, without the command line, and read the files of sweeps."""

import csv
from pathlib import Path

from conftest import PLAIN, PROJECT
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from kindling.sweeps.folder import SweepFolder
from kindling.sweeps.plan import plan


def loader_and_master() -> tuple:
    """Return what Hydra passes to a launcher: its config loader and the config of the sweep."""
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        return loader, loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)


def planned(batch: list[list[str]]) -> list:
    return plan(*loader_and_master(), batch)


def formed(batch: list[list[str]], most_bytes: float = 2e9) -> tuple:
    """Return groups, and single jobs with the reason."""
    from kindling.sweeps.grouped.grouping import form_groups

    return form_groups(planned([[*PLAIN, *args, "trainer=cpu"] for args in batch]), most_bytes)


def trained_together(folder: Path, batch: list[list[str]]) -> list:
    """Train all jobs in groups, and return them."""
    from kindling.sweeps.grouped.grouping import form_groups
    from kindling.sweeps.grouped.train import train

    jobs = planned([[*PLAIN, *args, "trainer=cpu"] for args in batch])
    SweepFolder(folder).place(jobs)
    groups, singles = form_groups(jobs, 2e9)
    assert not singles, singles[0][1]
    for group in groups:
        train(group, folder)
    return jobs


def board(folder: Path) -> list[dict]:
    """Return the rows of the leaderboard without run times."""
    with (folder / "leaderboard.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def records(folder: Path) -> dict:
    """Return a job's folder -> its metrics.csv."""
    return {path.parent.name: path.read_text() for path in folder.glob("*/metrics.csv")}
