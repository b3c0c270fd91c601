"""Run a single job of a sweep in this or another process, or a group in another process."""

import gc
import inspect
import runpy
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime, JobStatus, configure_log, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from kindling.cli.overrides import command
from kindling.files import write_json
from kindling.sweeps.compose import Job
from kindling.sweeps.folder import result_of
from kindling.training.tolerate import reason


@dataclass
class Context:
    """What Hydra passes to a launcher."""

    hydra: HydraContext
    task: TaskFunction
    master: DictConfig

    @property
    def script(self) -> Path:
        return Path(sys.argv[0]).resolve()


@dataclass
class JobRequest:
    """A single job in the form that is sent to another process."""

    key: str
    overrides: list[str]
    folder: Path


def run_single(context: Context, request: JobRequest) -> tuple[str, str, str]:
    """Run a job as Hydra's own launcher does.

    Returns:
        Status, reason and traceback, for a job that has left no result.
    """
    config = context.hydra.config_loader.load_sweep_config(context.master, request.overrides)
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = 0
    if "ddp" in str(OmegaConf.select(config, "trainer.strategy")):
        return _run_in_new_process(context, request)
    try:
        outcome = run_job(
            hydra_context=context.hydra, task_function=context.task, config=config,
            job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
        )  # fmt: skip
    finally:  # also after Ctrl-C, which is reported
        configure_log(context.master.hydra.hydra_logging, context.master.hydra.verbose)
    if outcome.status is JobStatus.COMPLETED:
        return "failed", "it wrote no result.json", ""
    error = outcome._return_value
    return "failed", f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))


def run_in_worker(hydra: HydraContext, task: str, master: DictConfig, request: JobRequest) -> tuple[str, str, str]:
    """Call `run_single` in a worker process, which sets up Hydra's state and imports the program again."""
    setup_globals()
    Plugins.instance()  # registers the config sources that hydra.searchpath may name
    JobRuntime.instance().set("name", master.hydra.job.name)
    main = runpy.run_path(sys.argv[0], run_name="__mp_main__")
    function = inspect.unwrap(main[task])  # without @hydra.main
    return run_single(Context(hydra, function, master), request)


def train_in_worker(folder: Path, request: tuple[str, list[Job]]) -> str | None:
    """Train a group in a worker process; return why that failed, or None.

    Args:
        folder: the sweep's.
        request: the group's name and its jobs.
    """
    from kindling.sweeps.grouped.grouping import group_of  # torch, which the environment limits to one thread
    from kindling.sweeps.grouped.train import train

    gc.freeze()  # full collections would otherwise scan all jobs repeatedly
    try:
        train(group_of(request[1]), folder)
    except Exception as error:
        return reason(error)
    return None


def _run_in_new_process(context: Context, request: JobRequest) -> tuple[str, str, str]:
    overrides = [override for override in request.overrides if not override.lstrip("+").startswith("hydra.")]
    test = [] if any(override.startswith("resume=") for override in overrides) else ["test=false"]
    command = [sys.executable, str(context.script), *overrides, *test, f"hydra.run.dir='{request.folder}'"]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    return "killed" if ended.returncode < 0 else "failed", ended.stderr.strip()[-300:], ended.stderr


def write_if_missing(job: Job, status: str, why: str, trace: str) -> None:
    """Write result.json for a job that left none, and traceback.txt for one that failed."""
    job.folder.mkdir(parents=True, exist_ok=True)
    if result_of(job.folder).get("status") in (None, "interrupted") and status:
        content = {"status": status, "error": why, "metrics": {}, "command": command(job.overrides)}
        write_json(job.folder / "result.json", content)
    if trace and result_of(job.folder)["status"] == "failed":
        (job.folder / "traceback.txt").write_text(trace, encoding="utf-8")
