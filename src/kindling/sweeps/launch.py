"""Runs the jobs of a sweep: groups first, then what is trained by itself; whatever a job does, the others go on."""

import gc
import logging
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals

from kindling.cli import entry
from kindling.sweeps import pool
from kindling.sweeps.alone import Context, Order, run_alone, run_in_worker, write_if_none
from kindling.sweeps.compose import Job
from kindling.sweeps.folder import FINISHED, NEW, SweepFolder, result_of
from kindling.sweeps.plan import plan
from kindling.training.tolerate import optional

log = logging.getLogger("kindling")

ENOUGH = 4  # jobs by themselves for which it is worth to start processes, which takes 3 s


class Stop(Exception):
    """on_error=stop, and a job has failed."""


def launch(
    context: Context,
    batch: Iterable[list[str]],
    workers: int | None,
    most_bytes: float,
    figures: Callable[[list[Path]], None] | None,
) -> list[JobReturn]:
    """What a launcher does with the jobs: a JobReturn of each, in order.

    Args:
        batch: the overrides of each job.
        workers: processes for jobs by themselves; None: as many as there are cores, if it is worth it.
        most_bytes: memory that a group may take.
        figures: draws pictures of the best of these folders.
    """
    setup_globals()
    HydraConfig.instance().set_config(context.master)  # as Hydra does for a job of its own
    configure_log(context.master.hydra.hydra_logging, context.master.hydra.verbose)
    jobs = plan(context.hydra.config_loader, context.master, batch)
    unique = list({job.key: job for job in jobs}.values())
    with SweepFolder(Path(str(context.master.hydra.sweep.dir))) as folder:
        folder.place(unique)
        log.info(folder.summary(len(jobs)))
        try:
            if any(state != FINISHED for state in folder.states.values()):
                Sweep(context, folder, unique, workers=workers, most_bytes=most_bytes).run()
                if figures:
                    with optional("pictures of the best jobs"):
                        figures([job.folder for job in unique if result_of(job.folder)])
        except Stop:
            log.info("on_error=stop: the other jobs are not run")
        except (KeyboardInterrupt, SystemExit) as error:
            log.info(f"interrupted; to go on: python train.py resume={folder.shown}")
            sys.exit(error.code if isinstance(error, SystemExit) else 130)
    placed = {job.key: job for job in unique}
    return [_returned(placed[job.key]) for job in jobs]


class Sweep:
    """One call of a launcher."""

    def __init__(self, context: Context, folder: SweepFolder, jobs: list[Job], workers: int | None, most_bytes: float):
        self.context, self.folder, self.jobs = context, folder, jobs
        self.workers, self.most_bytes = workers, most_bytes
        self.done = self.total = 0
        self.stops = context.master.get("on_error") == "stop"

    def run(self) -> None:
        groups, singles = self._formed()
        gc.freeze()  # what is imported stays; a full collection would take 0.25 s to look through it
        self.folder.groups |= {group.name: [job.key for job in group.jobs] for group in groups}
        self.folder.save(self.jobs)
        states = self.folder.states
        waiting = [group for group in groups if any(states[job.key] == NEW for job in group.jobs)]
        again = [job for group in groups if group not in waiting for job in group.jobs if states[job.key] != FINISHED]
        singles = [(job, why) for job, why in singles if states[job.key] != FINISHED]
        reasons = Counter(why for _, why in singles)
        for why, number in reasons.most_common():
            log.info(f"{number} jobs one by one: {why}" if number > 1 else f"1 job by itself: {why}")
        self.total = sum(len(group.jobs) for group in waiting) + len(singles) + len(again)
        for group in waiting:
            singles += [(job, "") for job in self._train(group)]
        self._by_themselves([job for job, _ in singles] + again)

    def _formed(self) -> tuple[list, list]:
        """Groups as they were formed before, and new ones from the other jobs."""
        from kindling.sweeps.grouped.grouping import form  # torch
        from kindling.sweeps.grouped.guard import why_different

        entry.hand_over()  # what is trained from here on can be resumed
        of = {job.key: job for job in self.jobs}
        old = [[of[key] for key in keys] for keys in self.folder.groups.values() if set(keys) <= set(of)]
        known = {job.key for jobs in old for job in jobs}
        groups, singles = [], []
        for jobs in [*old, [job for job in self.jobs if job.key not in known]]:
            formed, rest = form(jobs, self.most_bytes)
            singles += rest
            for group in formed:
                if why := why_different(group, self.context):
                    singles += [(job, why) for job in group.jobs]
                else:
                    groups.append(group)
        return groups, singles

    def _train(self, group) -> list[Job]:
        """Its jobs that have no result afterwards, because the group as a whole has failed."""
        from kindling.sweeps.grouped.train import train

        log.info(f"{self.done + 1}-{self.done + len(group.jobs)}/{self.total}  {group} together")
        try:
            train(group, self.folder.path)
        except Exception as error:
            log.info(f"that failed, so they train one by one: {type(error).__name__}: {error}")
            log.debug(traceback.format_exc())
        rest = [job for job in group.jobs if not job.folder.exists()]
        for job in group.jobs:
            if job not in rest:
                self._ended(job, quiet=True)
        return rest

    def _by_themselves(self, jobs: list[Job]) -> None:
        pooled = [job for job in jobs if self._in_pool(job)]
        processes = self._processes(pooled)
        for job in jobs:
            if job not in pooled or not processes:
                write_if_none(job, *run_alone(self.context, self._order(job)))
                self._ended(job)
        if processes and pooled:
            of = {job.key: job for job in pooled}
            arguments = (self.context.hydra, self.context.task.__name__, self.context.master)
            orders = [self._order(job) for job in pooled]
            logged = self.folder.path / "workers.log"
            for order, outcome, why in pool.run(orders, run_in_worker, arguments, processes, logged):
                job = of[order.key]
                write_if_none(job, *(outcome or ("killed", why, "")))
                self._ended(job)

    def _order(self, job: Job) -> "Order":
        """Words that run it, or go on with it, in its folder."""
        quiet = "+hydra.job_logging.handlers.console.level=WARNING"
        return Order(job.key, [*self.folder.words(job), quiet], job.folder)

    def _in_pool(self, job: Job) -> bool:
        import torch

        on_cpu = job.resolved["trainer"].get("accelerator") == "cpu" or not torch.accelerator.is_available()
        return on_cpu and "ddp" not in str(job.resolved["trainer"].get("strategy"))

    def _processes(self, jobs: list[Job]) -> int:
        if self.workers is not None:
            return self.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, len(jobs)) if len(jobs) >= ENOUGH and cores > 1 else 0

    def _ended(self, job: Job, quiet: bool = False) -> None:
        self.done += 1
        result = result_of(job.folder)
        finished = result.get("status") == "finished"
        if not finished:
            why = result.get("diverged") or result.get("error") or ""
            said = f"{result.get('status', 'lost').upper()}  {job.name}: {why}"
        else:
            score = "no score" if result.get("score") is None else f"{result['monitor']} {result['score']:.4g}"
            said = f"{job.name}  {score}  {result['seconds']:.1f} s"
        if not (finished and quiet):
            log.info(f"{self.done}/{self.total}  {said}")
        if self.stops and not finished:
            raise Stop


def _returned(job: Job) -> JobReturn:
    result = result_of(job.folder)
    done = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
    done.return_value = result.get("score") if result.get("status") == "finished" else None
    return done
