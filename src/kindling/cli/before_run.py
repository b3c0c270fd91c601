"""Reject an impossible run before its folder is created, and set the exit code from the run's outcome."""

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.cli import monitor, validation
from kindling.cli.build import reject_missing_packages
from kindling.cli.errors import explain_machine_error, plain_errors, reject
from kindling.cli.folders.read import read_result
from kindling.cli.plain import to_dict
from kindling.files import is_untrained, reject_links, why_no_name


class Check(Callback):
    """Checks the config before the run's folder is created.

    Hydra swallows exceptions raised in a callback, but not SystemExit.
    """

    def __init__(self) -> None:
        self.creates_folder = False  # whether the run's folder did not exist before; set by `on_run_start`

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        name = OmegaConf.select(config, "sweep.name")
        if name is not None and (why := why_no_name(str(name))):
            reject(f"sweep.name={name} cannot name a folder in runs/sweeps: {why}. For any folder use hydra.sweep.dir.")
        with plain_errors():
            reject_links(Path(config.hydra.sweep.dir))

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = to_dict(config.hydra.run, resolve=False)["dir"]
        with plain_errors():
            reject_links(Path(folder))
        was_given = "${" not in folder and not config.resume and "LOCAL_RANK" not in os.environ
        with plain_errors():
            self.creates_folder = "${unique:}" in folder or (was_given and not Path(folder).exists())
            if was_given and (Path(folder) / ".claim").exists():  # Hydra would overwrite its .hydra/
                raise UserError(
                    f"{folder} already contains a run: omit hydra.run.dir, or continue the run with resume={folder}."
                )
            validation.reject_sweep_options(list(config.hydra.overrides.task))
        self._check(config)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._check(config)  # a sweep's job, for which on_run_start is not called

    def on_run_end(self, config: DictConfig, job_return: JobReturn | None = None, **kwargs: Any) -> None:
        """Exit with code 2 after an error that the user can fix, and with code 1 after a run that diverged.

        After such an error before training, e.g. an invalid cell in a CSV, the folder that Hydra has made is deleted.
        """
        if job_return is None or job_return.hydra_cfg is None:
            return
        folder = Path(job_return.hydra_cfg.hydra.runtime.output_dir)
        error = job_return._return_value  # the public property prints a line from Hydra before it raises
        if isinstance(error, UserError):
            # A run that has claimed the folder has released it; otherwise the folder belongs to another run.
            if self.creates_folder and not (folder / ".claim").exists() and is_untrained(folder):
                logging.shutdown()  # closes the log, because Windows does not delete open files
                shutil.rmtree(folder, ignore_errors=True)
            reject(str(error))
        if isinstance(error, Exception):
            _exit_after_machine_error(error, folder)
        if (folder / "result.json").is_file() and read_result(folder)["status"] == "diverged":
            sys.exit(1)

    def _check(self, config: DictConfig) -> None:
        # Interpolations of the run's folder cannot be resolved yet.
        unresolvable = ("hydra", "folder", "callbacks", "logger", "trainer")
        job = OmegaConf.masked_copy(config, [str(key) for key in config if key not in unresolvable])
        missing = OmegaConf.missing_keys(job)
        if missing:
            reject(f"{', '.join(sorted(missing))} must be given, e.g. {min(missing)}=...")
        if config.trainer.get("strategy") == "ddp" and config.hydra.mode == RunMode.MULTIRUN:
            reject("trainer=ddp would restart the whole sweep in every process: start the runs one by one.")
        nodes = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        with plain_errors():
            resolved = to_dict(job, resolve=True)
            validation.check({key: value for key, value in resolved.items() if not isinstance(value, dict)})
            validation.check_files(resolved)
            raw = to_dict(nodes, resolve=False)
            monitor.check_callbacks(raw)
            reject_missing_packages(raw)


def _exit_after_machine_error(error: Exception, folder: Path) -> None:
    """Exit with one line if a file or the memory is the reason, with code 1 if training had begun."""
    message = explain_machine_error(error)
    if isinstance(error, OSError) and not folder.exists():
        message = f"{folder} was deleted during the run: start it again."
    if message:
        print(message, file=sys.stderr)
        sys.exit(2 if folder.exists() and is_untrained(folder) else 1)
