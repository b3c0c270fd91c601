"""Run the jobs of a sweep as tasks of a Ray cluster whose nodes share the sweep's folder and have the same packages."""

import logging
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError, RayTaskError

from kindling.sweeps.compose import Job
from kindling.sweeps.folder import FINISHED, SweepFolder, result_of
from kindling.sweeps.run_job import Context, train_in_worker
from kindling.sweeps.sweep import Sweep
from kindling.training.tolerate import reason

if TYPE_CHECKING:
    from kindling.sweeps.grouped.grouping import Group

log = logging.getLogger("kindling")

ATTEMPTS = 3  # for a job whose node or process is killed; it resumes where it was


class RaySweep(Sweep):
    """A sweep in which each group, and each job trained individually, is a Ray task.

    Args:
        ray: `init` and `remote`, the arguments of ray.init and of every task.
    """

    def __init__(self, context: Context, folder: SweepFolder, jobs: list[Job], ray: dict[str, dict], most_bytes: float):
        super().__init__(context, folder, jobs, workers=None, most_bytes=most_bytes)
        self.ray, self.attempts = ray, ATTEMPTS

    def run(self) -> None:
        ray.init(**{"log_to_driver": False, "logging_level": "warning", **self.ray["init"]})
        try:
            super().run()
            while self.attempts > 1 and self._place_killed():
                self.attempts -= 1
                super().run()
        finally:
            ray.shutdown()

    def _place_killed(self) -> int:
        """Assign a folder to each job whose process was killed, skip all others, and return how many were killed."""
        killed = [job for job in self.jobs if result_of(job.folder).get("status") == "killed"]
        if killed:
            self.folder.states = {job.key: FINISHED for job in self.jobs}
            self.folder.place(killed)
            self.folder.save(self.jobs)
            self.done = 0
        return len(killed)

    def _job_ended(self, job: Job, quiet: bool = False) -> None:
        stops = self.stops
        self.stops = stops and (self.attempts == 1 or result_of(job.folder).get("status") != "killed")
        try:
            super()._job_ended(job, quiet)
        finally:
            self.stops = stops

    def _should_pool_groups(self, groups: list["Group"]) -> bool:
        return bool(groups)

    def _should_pool_jobs(self, jobs: list[Job]) -> bool:
        return bool(jobs)

    def _can_pool(self, job: Job) -> bool:
        return "ddp" not in str(job.resolved["trainer"].get("strategy"))

    def _pool(self, requests: list, work: Callable, arguments: tuple) -> Iterator[tuple]:
        cpus, nodes = ray.cluster_resources().get("CPU", 0), sum(node["Alive"] for node in ray.nodes())
        log.info(f"{len(requests)} tasks for {cpus:.0f} CPUs of {nodes} Ray node{'s' * (nodes != 1)}")
        # A group resumes from its checkpoint; a single job is first assigned a folder again, see `run`.
        retries = ATTEMPTS - 1 if work is train_in_worker else 0
        task = ray.remote(**{"max_retries": retries, **self.ray["remote"]})(_task())
        here, script = os.getcwd(), [str(self.context.script)]
        by_task = {task.remote(here, script, pickle.dumps((work, arguments, request))): request for request in requests}
        waiting = list(by_task)
        while waiting:
            (done,), waiting = ray.wait(waiting)
            try:
                yield by_task[done], ray.get(done), None
            except RayTaskError as error:  # an exception in the task, handled as in the pool's workers
                why = reason(error)
                yield by_task[done], why if work is train_in_worker else ("failed", why, str(error)), None
            except RayError as error:
                yield by_task[done], None, f"Ray: {reason(error)}"


def _task() -> Callable:
    """Return the function of a task, a nested one, so that Ray pickles its code and does not import its module.

    Relative paths refer to the working directory at the time kindling is imported, so the directory is changed first.
    """

    def task(folder: str, argv: list[str], payload: bytes) -> Any:
        os.chdir(folder)
        sys.argv[:] = argv
        work, arguments, request = pickle.loads(payload)
        return work(*arguments, request)

    return task
