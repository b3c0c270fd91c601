"""Jobs of a sweep in this process, without its command line."""

from pathlib import Path

from conftest import PLAIN, PROJECT
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from kindling.sweeps.folder import SweepFolder
from kindling.sweeps.plan import plan


def loader_and_master() -> tuple:
    """What Hydra gives a launcher: its loader, and the config of the sweep itself."""
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        return loader, loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)


def planned(batch: list[list[str]]) -> list:
    return plan(*loader_and_master(), batch)


def formed(batch: list[list[str]], most_bytes: float = 2e9) -> tuple:
    """Groups, and jobs by themselves with the reason."""
    from kindling.sweeps.grouped.grouping import form

    return form(planned([[*PLAIN, *words, "trainer=cpu"] for words in batch]), most_bytes)


def trained_together(folder: Path, batch: list[list[str]]) -> list:
    """The jobs after training, all in groups, in their folders."""
    from kindling.sweeps.grouped.grouping import form
    from kindling.sweeps.grouped.train import train

    jobs = planned([[*PLAIN, *words, "trainer=cpu"] for words in batch])
    SweepFolder(folder).place(jobs)
    groups, singles = form(jobs, 2e9)
    assert not singles, singles[0][1]
    for group in groups:
        train(group, folder)
    return jobs
