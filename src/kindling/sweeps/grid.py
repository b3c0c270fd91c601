"""The list of jobs of a grid, and how it runs under a launcher that is not ours. Does not import torch."""

import logging
from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn, JobStatus, configure_log, env_override
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig

from kindling import UserError
from kindling.sweeps.alone import write_if_none
from kindling.sweeps.folder import FINISHED, SweepFolder, result_of
from kindling.sweeps.plan import plan

log = logging.getLogger("kindling")


def with_params(words: list[str], params: dict | None) -> list[str]:
    """The words, and before them the knobs that a config's hydra.sweeper.params names and nobody has typed."""
    typed = {word.lstrip("+~").split("=", 1)[0] for word in words}
    return [f"{option}={values}" for option, values in (params or {}).items() if option not in typed] + words


def shorthand(words: list[str], repeat: int, folds: int | None) -> list[str]:
    """The words with `repeat=5` and `folds=5` spelled out as lists of values.

    Raises:
        UserError: the values are swept already, or cannot be.
    """
    typed = dict(word.lstrip("+").split("=", 1) for word in words if "=" in word)
    for name, number, least, key in (("repeat", repeat, 1, "seed"), ("folds", folds, 2, "data.fold")):
        if number is None or (name == "repeat" and number == 1):
            continue
        if not isinstance(number, int) or number < least:
            raise UserError(f"{name}={number} cannot be: it must be a whole number from {least}.")
        first = typed.get(key, "0")
        if not first.isdigit() or (name == "folds" and key in typed):
            raise UserError(f"{name}={number} and {key}={first} both say which {key}s to take: leave one out.")
        words = [word for word in words if not word.startswith(f"{key}=")]
        words += [f"{key}={','.join(str(int(first) + i) for i in range(number))}"]
        words += [f"data.folds={number}"] * (name == "folds")
    return words


def through(launcher: Launcher, context: HydraContext, master: DictConfig, batch: list[list[str]]) -> list[JobReturn]:
    """Run the jobs that are not finished under any launcher of Hydra, each in its folder of the sweep."""
    jobs = plan(context.config_loader, master, batch)
    unique = list({job.key: job for job in jobs}.values())
    with SweepFolder(Path(str(master.hydra.sweep.dir))) as folder:
        folder.place(unique)
        log.info(folder.summary(len(jobs)))
        todo = [job for job in unique if folder.states[job.key] != FINISHED]
        # Of processes that share the cores; a launcher in this one decides by itself.
        with env_override({} if isinstance(launcher, BasicLauncher) else {"OMP_NUM_THREADS": "1"}):
            returned = launcher.launch([folder.words(job) for job in todo], initial_job_idx=0) if todo else []
    configure_log(master.hydra.hydra_logging, master.hydra.verbose)
    for job, outcome in zip(todo, returned, strict=True):
        if outcome.status is JobStatus.FAILED and not result_of(job.folder):
            error = outcome._return_value
            write_if_none(job, "failed", f"{type(error).__name__}: {error}", trace="")
        if result_of(job.folder).get("status") == "failed":
            log.info(f"FAILED  {job.name}: {result_of(job.folder)['error']}")
    return list(returned)
