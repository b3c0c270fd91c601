"""Runs the jobs of a sweep: groups first, then what is trained by itself; whatever a job does, the others go on."""

import gc
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals

from kindling.cli import entry
from kindling.sweeps import pool
from kindling.sweeps.alone import Context, Order, run_alone, run_in_worker, train_in_worker, write_if_none
from kindling.sweeps.compose import Job
from kindling.sweeps.folder import FINISHED, NEW, SweepFolder, outcome_of, result_of
from kindling.sweeps.plan import plan
from kindling.training.tolerate import optional

log = logging.getLogger("kindling")

# What makes it worth to start processes, which takes 3 s: jobs by themselves, and steps of all members of groups.
ENOUGH, ENOUGH_STEPS = 4, 1_500_000


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
        for why, number in Counter(why for _, why in singles).most_common():
            log.info(f"{number} jobs one by one: {why}" if number > 1 else f"1 job by itself: {why}")
        self.total = sum(len(group.jobs) for group in waiting) + len(singles) + len(again)
        left = self._in_processes(waiting) if self._are_long(waiting) else map(self._train, waiting)
        self._by_themselves([job for job, _ in singles] + [job for jobs in left for job in jobs] + again)

    def _formed(self) -> tuple[list, list]:
        """Groups as they were formed before, and new ones from the other jobs."""
        from kindling.sweeps.grouped.grouping import form  # torch
        from kindling.sweeps.grouped.guard import why_different

        entry.hand_over()  # what is trained from here on can be resumed
        of, groups, singles = {job.key: job for job in self.jobs}, [], []
        old = [[of[key] for key in keys] for keys in self.folder.groups.values() if set(keys) <= set(of)]
        known = {job.key for jobs in old for job in jobs}
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
        return self._trained(group)

    def _are_long(self, groups: list) -> bool:
        """Whether it is worth to train them in several processes."""
        if len(groups) < 2 or not all(self._in_pool(group.jobs[0]) for group in groups):
            return False
        if self.workers is None:
            return pool.cores() > 1 and sum(group.steps for group in groups) > ENOUGH_STEPS
        return self.workers > 1

    def _in_processes(self, groups: list) -> Iterator[list[Job]]:
        """Yield of each group the jobs that have no result afterwards."""
        processes = min(self.workers or pool.cores(), len(groups))
        log.info(f"{len(groups)} groups in {processes} processes of one thread")
        named, logged = {group.name: group for group in groups}, self.folder.path / "workers.log"
        orders = [(group.name, group.jobs) for group in groups]
        for (name, _), outcome, killed in pool.run(orders, train_in_worker, (self.folder.path,), processes, logged):
            if why := killed or outcome:
                log.info(f"{named[name]}: {why}, so they train one by one")
            rest = self._trained(named[name])
            log.info(f"{self.done}/{self.total}  {named[name]} together")
            yield rest

    def _trained(self, group) -> list[Job]:
        """Count the group's jobs that have a result, and return the others."""
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
        return min(pool.cores(), len(jobs)) if len(jobs) >= ENOUGH and pool.cores() > 1 else 0

    def _ended(self, job: Job, quiet: bool = False) -> None:
        self.done += 1
        finished = result_of(job.folder).get("status") == "finished"
        if not (finished and quiet):
            log.info(f"{self.done}/{self.total}  {outcome_of(job)}")
        if self.stops and not finished:
            raise Stop


def _returned(job: Job) -> JobReturn:
    result = result_of(job.folder)
    done = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
    done.return_value = result.get("score") if result.get("status") == "finished" else None
    return done
