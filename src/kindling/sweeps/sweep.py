"""The jobs of a sweep: groups first, then what is trained by itself; whatever a job does, the others go on."""

import gc
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator

from kindling.cli import entry
from kindling.sweeps import pool
from kindling.sweeps.alone import Context, Order, run_alone, run_in_worker, train_in_worker, write_if_none
from kindling.sweeps.compose import Job
from kindling.sweeps.folder import FINISHED, NEW, SweepFolder, outcome_of, result_of

log = logging.getLogger("kindling")

# What makes it worth to start processes, which takes 3 s: jobs by themselves, and steps of all members of groups.
ENOUGH, ENOUGH_STEPS = 4, 1_500_000


class Stop(Exception):
    """on_error=stop, and a job has failed."""


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

        entry.raise_on_signals()  # what is trained from here on can be resumed
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
        named = {group.name: group for group in groups}
        orders = [(group.name, group.jobs) for group in groups]
        for (name, _), outcome, killed in self._pool(orders, train_in_worker, (self.folder.path,)):
            if why := killed or outcome:
                log.info(f"{named[name]}: {why}, so they train one by one")
            rest = self._trained(named[name])
            log.info(f"{self.done}/{self.total}  {named[name]} together")
            yield rest

    def _pool(self, orders: list, work: Callable, arguments: tuple) -> Iterator[tuple]:
        """Have processes do `work(*arguments, order)`; as `pool.run`."""
        processes = min(self.workers or pool.cores(), len(orders))
        what = "groups" if work is train_in_worker else "jobs"
        log.info(f"{len(orders)} {what} in {processes} processes of one thread")
        return pool.run(orders, work, arguments, processes, self.folder.path / "workers.log")

    def _trained(self, group) -> list[Job]:
        """Count the group's jobs that have a result, and return the others."""
        rest = [job for job in group.jobs if not job.folder.exists()]
        for job in group.jobs:
            if job not in rest:
                self._ended(job, quiet=True)
        return rest

    def _by_themselves(self, jobs: list[Job]) -> None:
        pooled = [job for job in jobs if self._in_pool(job)]
        pooled = pooled if self._are_worth_processes(pooled) else []
        for job in jobs:
            if job not in pooled:
                write_if_none(job, *run_alone(self.context, self._order(job)))
                self._ended(job)
        if pooled:
            of = {job.key: job for job in pooled}
            arguments = (self.context.hydra, self.context.task.__name__, self.context.master)
            for order, outcome, why in self._pool([self._order(job) for job in pooled], run_in_worker, arguments):
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

    def _are_worth_processes(self, jobs: list[Job]) -> bool:
        return self.workers > 0 if self.workers is not None else len(jobs) >= ENOUGH and pool.cores() > 1

    def _ended(self, job: Job, quiet: bool = False) -> None:
        self.done += 1
        finished = result_of(job.folder).get("status") == "finished"
        if not (finished and quiet):
            log.info(f"{self.done}/{self.total}  {outcome_of(job)}")
        if self.stops and not finished:
            raise Stop
