"""The jobs of a sweep as tasks of a Ray cluster. Its nodes share the sweep's folder and have the same packages."""

import logging
import os
import pickle
import sys
from collections.abc import Callable, Iterator

import ray
from ray.exceptions import RayError, RayTaskError

from kindling.sweeps.alone import Context, train_in_worker
from kindling.sweeps.compose import Job
from kindling.sweeps.folder import FINISHED, SweepFolder, result_of
from kindling.sweeps.sweep import Sweep
from kindling.training.tolerate import reason

log = logging.getLogger("kindling")

ATTEMPTS = 3  # of a job whose node or process is killed; it goes on where it was


class RaySweep(Sweep):
    """A sweep whose groups, and jobs by themselves, are tasks.

    Args:
        ray: `init` and `remote`, the arguments of ray.init and of every task.
    """

    def __init__(self, context: Context, folder: SweepFolder, jobs: list[Job], ray: dict, most_bytes: float):
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
        """Find a folder for each job whose process was killed, and leave the others as they are; how many there are."""
        killed = [job for job in self.jobs if result_of(job.folder).get("status") == "killed"]
        if killed:
            self.folder.states = {job.key: FINISHED for job in self.jobs}
            self.folder.place(killed)
            self.folder.save(self.jobs)
            self.done = 0
        return len(killed)

    def _ended(self, job: Job, quiet: bool = False) -> None:
        stops = self.stops
        self.stops = stops and (self.attempts == 1 or result_of(job.folder).get("status") != "killed")
        try:
            super()._ended(job, quiet)
        finally:
            self.stops = stops

    def _are_long(self, groups: list) -> bool:
        return bool(groups)

    def _are_worth_processes(self, jobs: list[Job]) -> bool:
        return bool(jobs)

    def _in_pool(self, job: Job) -> bool:
        return "ddp" not in str(job.resolved["trainer"].get("strategy"))

    def _pool(self, orders: list, work: Callable, arguments: tuple) -> Iterator[tuple]:
        cpus, nodes = ray.cluster_resources().get("CPU", 0), sum(node["Alive"] for node in ray.nodes())
        log.info(f"{len(orders)} tasks for {cpus:.0f} CPUs of {nodes} Ray node{'s' * (nodes != 1)}")
        # A group goes on from its checkpoint; a job by itself is placed anew first, see `run`.
        retries = ATTEMPTS - 1 if work is train_in_worker else 0
        task = ray.remote(**{"max_retries": retries, **self.ray["remote"]})(_in_folder())
        here, script = os.getcwd(), [str(self.context.script)]
        of = {task.remote(here, script, pickle.dumps((work, arguments, order))): order for order in orders}
        waiting = list(of)
        while waiting:
            (done,), waiting = ray.wait(waiting)
            try:
                yield of[done], ray.get(done), None
            except RayTaskError as error:  # an exception in the task, as in `train_in_worker` and `run_in_worker`
                why = reason(error)
                yield of[done], why if work is train_in_worker else ("failed", why, str(error)), None
            except RayError as error:
                yield of[done], None, f"Ray: {reason(error)}"


def _in_folder() -> Callable:
    """Make what a task does: a function within one, so that it travels as code and is not imported.

    Relative paths count from where kindling was imported, so that must come after the change of the folder.
    """

    def task(folder: str, argv: list[str], payload: bytes):
        os.chdir(folder)
        sys.argv[:] = argv
        work, arguments, order = pickle.loads(payload)
        return work(*arguments, order)

    return task
