"""Expand repeat and folds to a grid, and run its jobs with launchers other than Kindling's. Does not import torch."""

import logging
from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus, configure_log, env_override
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig

from kindling import UserError
from kindling.sweeps.folder import FINISHED, SweepFolder, result_of
from kindling.sweeps.plan import plan
from kindling.sweeps.run_job import write_if_missing

log = logging.getLogger("kindling")


def with_params(overrides: list[str], params: dict[str, str] | None) -> list[str]:
    """Return the overrides after those of hydra.sweeper.params that they do not replace."""
    given = {override.lstrip("+~").split("=", 1)[0] for override in overrides}
    return [f"{option}={values}" for option, values in (params or {}).items() if option not in given] + overrides


def with_repetitions(overrides: list[str], repeat: int, folds: int | None) -> list[str]:
    """Return the overrides with `repeat=5` and `folds=5` expanded to lists of seeds and folds.

    Raises:
        UserError: seeds or folds are swept already, or the numbers are invalid.
    """
    given = dict(override.lstrip("+").split("=", 1) for override in overrides if "=" in override)
    for name, number, least, key in (("repeat", repeat, 1, "seed"), ("folds", folds, 2, "data.fold")):
        if number is None or (name == "repeat" and number == 1):
            continue
        if not isinstance(number, int) or number < least:
            raise UserError(f"{name}={number} is invalid: it must be an integer of at least {least}.")
        first = given.get(key, "0")
        if not first.isdigit() or (name == "folds" and key in given):
            raise UserError(f"{name}={number} and {key}={first} both set {key}: remove one of them.")
        overrides = [override for override in overrides if not override.startswith(f"{key}=")]
        overrides += [f"{key}={','.join(str(int(first) + i) for i in range(number))}"]
        overrides += [f"data.folds={number}"] * (name == "folds")
    return overrides


def run_with(launcher: Launcher, context: HydraContext, master: DictConfig, batch: list[list[str]]) -> list[JobReturn]:
    """Run the unfinished jobs with any Hydra launcher, each in its folder of the sweep."""
    jobs = plan(context.config_loader, master, batch)
    unique = list({job.key: job for job in jobs}.values())
    with SweepFolder(Path(str(master.hydra.sweep.dir))) as folder:
        folder.place(unique)
        log.info(folder.summary(len(jobs)))
        todo = [job for job in unique if folder.states[job.key] != FINISHED]
        # One thread for each process of a launcher that starts several; the basic launcher trains in this process.
        with env_override({} if isinstance(launcher, BasicLauncher) else {"OMP_NUM_THREADS": "1"}):
            returned = launcher.launch([folder.overrides(job) for job in todo], initial_job_idx=0) if todo else []
    configure_log(master.hydra.hydra_logging, master.hydra.verbose)
    for job, outcome in zip(todo, returned, strict=True):
        if outcome.status is JobStatus.FAILED and not result_of(job.folder):
            error = outcome._return_value
            write_if_missing(job, "failed", f"{type(error).__name__}: {error}", trace="")
        if result_of(job.folder).get("status") == "failed":
            log.info(f"FAILED  {job.name}: {result_of(job.folder)['error']}")
    return list(returned)
