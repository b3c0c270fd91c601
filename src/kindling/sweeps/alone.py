"""Run a single job of a sweep, in this process or in another, or a group in another process."""

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
    """What Hydra gives a launcher."""

    hydra: HydraContext
    task: TaskFunction
    master: DictConfig

    @property
    def script(self) -> Path:
        return Path(sys.argv[0]).resolve()


@dataclass
class Order:
    """A job as it travels to a process."""

    key: str
    words: list[str]
    folder: Path


def run_alone(context: Context, order: Order) -> tuple[str, str, str]:
    """Run it as Hydra's own launcher does; how it ended if it left no result: status, reason, traceback."""
    config = context.hydra.config_loader.load_sweep_config(context.master, order.words)
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = 0
    if "ddp" in str(OmegaConf.select(config, "trainer.strategy")):
        return _process_of_its_own(context, order)
    outcome = run_job(
        hydra_context=context.hydra, task_function=context.task, config=config,
        job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
    )  # fmt: skip
    configure_log(context.master.hydra.hydra_logging, context.master.hydra.verbose)
    if outcome.status is JobStatus.COMPLETED:
        return "failed", "it left no result.json", ""
    error = outcome._return_value
    return "failed", f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))


def run_in_worker(hydra: HydraContext, task: str, master: DictConfig, order: Order) -> tuple[str, str, str]:
    """`run_alone` in another process, which has to be told what Hydra knows; the program is imported there anew."""
    setup_globals()
    Plugins.instance()  # registers the kinds of places that hydra.searchpath may name
    JobRuntime.instance().set("name", master.hydra.job.name)
    main = runpy.run_path(sys.argv[0], run_name="__mp_main__")
    function = inspect.unwrap(main[task])  # as it is without @hydra.main
    return run_alone(Context(hydra, function, master), order)


def train_in_worker(folder: Path, order: tuple[str, list[Job]]) -> str | None:
    """Train a group, its name and its jobs, in a process of a pool; return why that failed, or None."""
    from kindling.sweeps.grouped.grouping import group_of  # torch, for which the process has set one thread
    from kindling.sweeps.grouped.train import train

    gc.freeze()  # a full collection would look through all jobs again and again
    try:
        train(group_of(order[1]), folder)
    except Exception as error:
        return reason(error)
    return None


def _process_of_its_own(context: Context, order: Order) -> tuple[str, str, str]:
    words = [word for word in order.words if not word.lstrip("+").startswith("hydra.")]
    command = [sys.executable, str(context.script), *words, "test=false", f"hydra.run.dir='{order.folder}'"]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    return "killed" if ended.returncode < 0 else "failed", ended.stderr.strip()[-300:], ended.stderr


def write_if_none(job: Job, status: str, why: str, trace: str) -> None:
    """A result for a job that left none, so that it is not taken for one that never ran; and where it went wrong."""
    job.folder.mkdir(parents=True, exist_ok=True)
    if result_of(job.folder).get("status") in (None, "interrupted") and status:
        content = {"status": status, "error": why, "metrics": {}, "command": command(job.overrides)}
        write_json(job.folder / "result.json", content)
    if trace and result_of(job.folder)["status"] == "failed":
        (job.folder / "traceback.txt").write_text(trace, encoding="utf-8")
