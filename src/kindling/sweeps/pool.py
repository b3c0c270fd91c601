"""Run jobs, or groups of them, in worker processes of one thread each; killing one does not affect the others."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from kindling.cli import entry
from kindling.training.lock import lock

CONTEXT: Any = multiprocessing.get_context("spawn" if os.name == "nt" else "forkserver")
# What every worker imports; with forkserver they are imported once, and the workers are forked from there.
LIBRARIES = [
    "kindling.sweeps.own_session",
    "hydra",
    "pytorch_lightning",
    "torch.utils.tensorboard",
    "kindling.sweeps.grouped.train",
]
# Read when a process starts. One thread, because there is a process for every core. glibc keeps freed memory: returning
# it after every operation on large tensors costs an eighth of a group's training time (mallopt(3)).
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "1073741824"}


class Worker(NamedTuple):
    connection: Connection
    process: BaseProcess


def prepare() -> None:
    """Start importing the libraries in the fork server, for workers that are started later."""
    if CONTEXT.get_start_method() == "forkserver":
        from multiprocessing.forkserver import ensure_running  # not on Windows

        CONTEXT.set_forkserver_preload(LIBRARIES)
        with _environment():
            ensure_running()


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(jobs: Iterable, work: Callable, arguments: tuple, processes: int, log: Path) -> Iterator[tuple]:
    """Yield (job, result of `work(*arguments, job)`, reason why there is no result) as the jobs end.

    Args:
        work: a module-level function, because it is pickled together with its arguments.
        log: the file for the output of the processes.
    """
    prepare()
    todo, idle = list(jobs), list[Worker]()
    busy: dict[Any, tuple[Worker, Any]] = {}  # connection -> its worker and job

    def start() -> Worker:
        here, there = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_serve, args=(there, work, arguments, str(log)), daemon=True)
        with _environment():
            process.start()
        there.close()
        return Worker(here, process)

    try:
        idle += [start() for _ in range(min(processes, len(todo)))]
        while todo or busy:
            while todo and idle:
                worker, job = idle.pop(), todo.pop(0)
                worker.connection.send(job)
                busy[worker.connection] = (worker, job)
            for connection in wait(list(busy)):
                worker, job = busy.pop(connection)
                outcome, why = None, None
                try:
                    outcome = worker.connection.recv()
                    idle.append(worker)
                except (EOFError, ConnectionResetError):  # the latter: it had not read all that was sent
                    worker.process.join()
                    why = f"its process was killed (exit code {worker.process.exitcode})"
                    if todo:
                        idle.append(start())
                yield job, outcome, why
    finally:
        _stop([*idle, *(worker for worker, _ in busy.values())])


def _stop(workers: list[Worker]) -> None:
    for worker in workers:
        worker.connection.close()
        worker.process.terminate()  # a run in training then saves its state
    for worker in workers:
        worker.process.join(30)


def _serve(connection: Connection, work: Callable, arguments: tuple, log: str) -> None:
    with open(log, "a", buffering=1, encoding="utf-8") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    entry.configure_console()
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    with open(log, "a", encoding="utf-8") as held:  # not the file above, which programs that a job starts inherit
        lock(held, shared=True)
        while True:
            try:
                job = connection.recv()
            except EOFError:  # the sweep is over
                return
            connection.send(work(*arguments, job))


def _end_with_the_sweep() -> None:
    """Stop this worker, which then saves its state, if the sweep's process is killed."""
    if parent := multiprocessing.parent_process():  # not os.getppid(), which is the fork server
        parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
