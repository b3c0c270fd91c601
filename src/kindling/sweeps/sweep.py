"""Run the jobs of a sweep: groups first, then single jobs; a job that fails does not stop the others."""

import gc
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from kindling.cli import entry
from kindling.sweeps import pool
from kindling.sweeps.compose import Job
from kindling.sweeps.folder import FINISHED, LOG, NEW, SweepFolder, outcome_of, result_of
from kindling.sweeps.run_job import Context, JobRequest, run_in_worker, run_single, train_in_worker, write_if_missing

if TYPE_CHECKING:
    from kindling.sweeps.grouped.grouping import Group

log = logging.getLogger("kindling")

# Minimum number of single jobs, or of steps of all groups, for which starting processes (3 s) is worthwhile.
MIN_JOBS, MIN_STEPS = 4, 1_500_000


class Stop(Exception):
    """Raised when a job has failed and on_error=stop."""


class Sweep:
    """The jobs of one launcher call.

    Args:
        workers: number of processes; None: one per core if that pays off; 0: train in this process.
        most_bytes: approximate memory that a group may take.
    """

    def __init__(self, context: Context, folder: SweepFolder, jobs: list[Job], workers: int | None, most_bytes: float):
        self.context, self.folder, self.jobs = context, folder, jobs
        self.workers, self.most_bytes = workers, most_bytes
        self.done = self.total = 0
        self.stops = context.master.get("on_error") == "stop"

    def run(self) -> None:
        groups, singles = self._form_groups()
        gc.freeze()  # imported modules stay; a full collection would take 0.25 s to scan them
        self.folder.groups |= {group.name: [job.key for job in group.jobs] for group in groups}
        self.folder.save(self.jobs)
        states = self.folder.states
        waiting = [group for group in groups if any(states[job.key] == NEW for job in group.jobs)]
        retries = [job for group in groups if group not in waiting for job in group.jobs if states[job.key] != FINISHED]
        singles = [(job, why) for job, why in singles if states[job.key] != FINISHED]
        for why, number in Counter(why for _, why in singles).most_common():
            log.info(f"{number} jobs train individually: {why}" if number > 1 else f"1 job trains individually: {why}")
        self.total = sum(len(group.jobs) for group in waiting) + len(singles) + len(retries)
        pooled = self._should_pool_groups(waiting)
        left: Iterable[list[Job]] = self._train_in_processes(waiting) if pooled else map(self._train, waiting)
        self._run_singles([job for job, _ in singles] + [job for jobs in left for job in jobs] + retries)

    def _form_groups(self) -> tuple[list["Group"], list[tuple[Job, str]]]:
        """Return the groups that were formed before and new ones of the other jobs, and single jobs with the reason."""
        from kindling.sweeps.grouped.grouping import form_groups  # torch
        from kindling.sweeps.grouped.guard import why_different

        entry.raise_on_signals()  # from here on, training can be resumed
        by_key = {job.key: job for job in self.jobs}
        groups: list[Group] = []
        singles: list[tuple[Job, str]] = []
        old = [[by_key[key] for key in keys] for keys in self.folder.groups.values() if set(keys) <= set(by_key)]
        known = {job.key for jobs in old for job in jobs}
        for jobs in [*old, [job for job in self.jobs if job.key not in known]]:
            formed, rest = form_groups(jobs, self.most_bytes)
            singles += rest
            for group in formed:
                if why := why_different(group, self.context):
                    singles += [(job, why) for job in group.jobs]
                else:
                    groups.append(group)
        return groups, singles

    def _train(self, group: "Group") -> list[Job]:
        """Train a group, and return the jobs without a result, which are none unless the whole group failed."""
        from kindling.sweeps.grouped.train import train

        log.info(f"{self.done + 1}-{self.done + len(group.jobs)}/{self.total}  {group}, trained together")
        try:
            train(group, self.folder.path)
        except Exception as error:
            log.info(f"group training failed ({type(error).__name__}: {error}); training these jobs individually")
            log.debug(traceback.format_exc())
        return self._count_trained(group)

    def _should_pool_groups(self, groups: list["Group"]) -> bool:
        """Return whether to train the groups in several processes."""
        if len(groups) < 2 or not all(self._can_pool(group.jobs[0]) for group in groups):
            return False
        if self.workers is None:
            return pool.cores() > 1 and sum(group.steps for group in groups) > MIN_STEPS
        return self.workers > 1

    def _train_in_processes(self, groups: list["Group"]) -> Iterator[list[Job]]:
        """Train groups in a pool of processes, and yield for each the jobs without a result."""
        named = {group.name: group for group in groups}
        requests = [(group.name, group.jobs) for group in groups]
        for (name, _), outcome, killed in self._pool(requests, train_in_worker, (self.folder.path,)):
            if why := killed or outcome:
                log.info(f"{named[name]}: group training failed ({why}); training these jobs individually")
            rest = self._count_trained(named[name])
            log.info(f"{self.done}/{self.total}  {named[name]}, trained together")
            yield rest

    def _pool(self, requests: list, work: Callable, arguments: tuple) -> Iterator[tuple]:
        """Call `work(*arguments, request)` in processes; see `pool.run`."""
        processes = min(self.workers or pool.cores(), len(requests))
        what = "groups" if work is train_in_worker else "jobs"
        log.info(f"{len(requests)} {what} in {processes} single-threaded processes")
        return pool.run(requests, work, arguments, processes, self.folder.path / LOG)

    def _count_trained(self, group: "Group") -> list[Job]:
        """Count the group's jobs that have a result, and return the others."""
        rest = [job for job in group.jobs if not job.folder.exists()]
        for job in group.jobs:
            if job not in rest:
                self._job_ended(job, quiet=True)
        return rest

    def _run_singles(self, jobs: list[Job]) -> None:
        pooled = [job for job in jobs if self._can_pool(job)]
        pooled = pooled if self._should_pool_jobs(pooled) else []
        for job in jobs:
            if job not in pooled:
                write_if_missing(job, *run_single(self.context, self._request(job)))
                self._job_ended(job)
        if pooled:
            by_key = {job.key: job for job in pooled}
            arguments = (self.context.hydra, self.context.task.__name__, self.context.master)
            for request, outcome, why in self._pool([self._request(job) for job in pooled], run_in_worker, arguments):
                job = by_key[request.key]
                write_if_missing(job, *(outcome or ("killed", why, "")))
                self._job_ended(job)

    def _request(self, job: Job) -> JobRequest:
        quiet = "+hydra.job_logging.handlers.console.level=WARNING"
        return JobRequest(job.key, [*self.folder.overrides(job), quiet], job.folder)

    def _can_pool(self, job: Job) -> bool:
        import torch

        on_cpu = job.resolved["trainer"].get("accelerator") == "cpu" or not torch.accelerator.is_available()
        return on_cpu and "ddp" not in str(job.resolved["trainer"].get("strategy"))

    def _should_pool_jobs(self, jobs: list[Job]) -> bool:
        return self.workers > 0 if self.workers is not None else len(jobs) >= MIN_JOBS and pool.cores() > 1

    def _job_ended(self, job: Job, quiet: bool = False) -> None:
        self.done += 1
        finished = result_of(job.folder).get("status") == "finished"
        if not (finished and quiet):
            log.info(f"{self.done}/{self.total}  {outcome_of(job)}")
        if self.stops and not finished:
            raise Stop
