"""Launch the jobs of a sweep with Kindling's own launchers."""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals

from kindling.sweeps.compose import Job
from kindling.sweeps.folder import FINISHED, SweepFolder, result_of
from kindling.sweeps.plan import plan
from kindling.sweeps.run_job import Context
from kindling.sweeps.said_once import said_once
from kindling.sweeps.sweep import Stop, Sweep
from kindling.training.tolerate import optional

log = logging.getLogger("kindling")


def launch(
    context: Context,
    batch: Sequence[list[str]],
    make: Callable[[Context, SweepFolder, list[Job]], Sweep],
    figures: Callable[[list[Path]], None] | None,
) -> list[JobReturn]:
    """Plan and run the jobs, and return a JobReturn for each, in order.

    Args:
        batch: the overrides of each job.
        make: makes the Sweep that runs the jobs.
        figures: draws pictures of the best jobs, given all folders with a result.
    """
    setup_globals()
    HydraConfig.instance().set_config(context.master)  # as Hydra does for a single job
    configure_log(context.master.hydra.hydra_logging, context.master.hydra.verbose)
    jobs = plan(context.hydra.config_loader, context.master, batch)
    unique = list({job.key: job for job in jobs}.values())
    with said_once(), SweepFolder(Path(str(context.master.hydra.sweep.dir))) as folder:
        folder.place(unique)
        log.info(folder.summary(len(jobs)))
        try:
            if any(state != FINISHED for state in folder.states.values()):
                make(context, folder, unique).run()
            if figures and not _has_board(folder, unique):
                with optional("pictures of the best jobs", interruptible=True):
                    figures([job.folder for job in unique if result_of(job.folder)])
        except Stop:
            log.info("on_error=stop: the remaining jobs are not run")
        except (KeyboardInterrupt, SystemExit) as error:
            log.info(f"interrupted; to continue: python train.py resume={folder.shown}")
            sys.exit(error.code if isinstance(error, SystemExit) else 130)
    placed = {job.key: job for job in unique}
    return [_returned(placed[job.key]) for job in jobs]


def _has_board(folder: SweepFolder, jobs: list[Job]) -> bool:
    """Return whether the leaderboard, which is written after the pictures, is newer than the results of all jobs."""
    board, results = folder.path / "leaderboard.csv", [job.folder / "result.json" for job in jobs]
    times = [file.stat().st_mtime for file in results if file.exists()]
    return board.exists() and board.stat().st_mtime >= max(times, default=0)


def _returned(job: Job) -> JobReturn:
    result = result_of(job.folder)
    done = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
    done.return_value = result.get("score") if result.get("status") == "finished" else None
    return done
