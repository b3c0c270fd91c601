"""Jobs, or groups of them, in processes of one thread each: a process that is killed takes no other along."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path

from kindling.cli import entry

CONTEXT = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
# What every worker imports; with forkserver that is done once, and the workers are forked from there.
LIBRARIES = [
    "kindling.sweeps.own_session",
    "hydra",
    "pytorch_lightning",
    "torch.utils.tensorboard",
    "kindling.sweeps.grouped.train",
]
# Read when a process starts. One thread, as there is a process for every core; and glibc keeps the memory that it has
# got: to return it after every operation on large tensors costs an eighth of a group's training (mallopt(3)).
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "1073741824"}


def prepare() -> None:
    """Have the libraries imported beside this process, for workers that are started later."""
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
    """Yields (job, what `work(*arguments, job)` returned, why there is nothing) as they end.

    Args:
        work: a function of a module; it and all it is given travel to the processes.
        log: what the processes print goes there.
    """
    prepare()
    todo, idle, busy = list(jobs), [], {}

    def start() -> tuple[Connection, multiprocessing.Process]:
        mine, its = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_serve, args=(its, work, arguments, str(log)), daemon=True)
        with _environment():
            process.start()
        its.close()
        return mine, process

    try:
        idle += [start() for _ in range(min(processes, len(todo)))]
        while todo or busy:
            while todo and idle:
                worker, job = idle.pop(), todo.pop(0)
                worker[0].send(job)
                busy[worker[0]] = (worker, job)
            for connection in wait(list(busy)):
                worker, job = busy.pop(connection)
                try:
                    outcome, why = connection.recv(), None
                    idle.append(worker)
                except (EOFError, ConnectionResetError):  # the latter: it had not read all that was sent
                    worker[1].join()
                    outcome, why = None, f"its process was killed (exit code {worker[1].exitcode})"
                    if todo:
                        idle.append(start())
                yield job, outcome, why
    finally:
        _stop([*idle, *(worker for worker, _ in busy.values())])


def _stop(workers: list[tuple[Connection, multiprocessing.Process]]) -> None:
    for connection, process in workers:
        connection.close()
        process.terminate()  # a run that is trained saves its state then
    for _, process in workers:
        process.join(30)


def _serve(connection: Connection, work: Callable, arguments: tuple, log: str) -> None:
    with open(log, "a", buffering=1, encoding="utf-8") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    entry.configure_console()
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    while True:
        try:
            job = connection.recv()
        except EOFError:  # the sweep is over
            return
        connection.send(work(*arguments, job))


def _end_with_the_sweep() -> None:
    """Where the sweep is killed, its processes stop too, and save what they train: nobody would look at it."""
    multiprocessing.parent_process().join()  # not os.getppid(), which is the fork server
    os.kill(os.getpid(), signal.SIGTERM)
