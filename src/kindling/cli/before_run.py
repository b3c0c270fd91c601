"""Refuses a run before its folder is made, and ends the process with the exit code of its outcome."""

import json
import os
import sys
from pathlib import Path

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.cli import monitor, validation
from kindling.cli.build import refuse_missing_packages
from kindling.cli.errors import plain_errors, refuse


class Check(Callback):
    """Runs before the run's folder is made. Hydra swallows a callback's exceptions, but not SystemExit."""

    def on_run_start(self, config: DictConfig, **kwargs) -> None:
        folder = OmegaConf.to_container(config.hydra.run, resolve=False)["dir"]
        typed = "${" not in folder and not config.resume and "LOCAL_RANK" not in os.environ
        if typed and (Path(folder) / ".claim").exists():  # Hydra would write over its .hydra/
            refuse(f"{folder} has a run already: leave hydra.run.dir out, or continue it with resume={folder}.")
        with plain_errors():
            validation.refuse_sweep_options(list(config.hydra.overrides.task))
        self._check(config)

    def on_job_start(self, config: DictConfig, **kwargs) -> None:
        self._check(config)  # of a sweep, where on_run_start is not called

    def on_run_end(self, config: DictConfig, job_return: JobReturn, **kwargs) -> None:
        """Exit with code 2 after what the user can mend, and with code 1 after a run that diverged, as a sweep does."""
        error = job_return._return_value  # the public property prints a line of Hydra's before it raises
        if isinstance(error, UserError):
            refuse(str(error))
        file = Path(job_return.hydra_cfg.hydra.runtime.output_dir) / "result.json"
        if file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("status") == "diverged":
            sys.exit(1)

    def _check(self, config: DictConfig) -> None:
        # What interpolates the run's folder cannot be resolved yet.
        later = ("hydra", "folder", "callbacks", "logger", "trainer")
        job = OmegaConf.masked_copy(config, [key for key in config if key not in later])
        missing = OmegaConf.missing_keys(job)
        if missing:
            refuse(f"{', '.join(sorted(missing))} must be given, e.g. {min(missing)}=...")
        if config.trainer.get("strategy") == "ddp" and config.hydra.mode == RunMode.MULTIRUN:
            refuse("trainer=ddp would start the whole sweep again in every process: start its runs one by one.")
        calls = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        with plain_errors():
            plain = OmegaConf.to_container(job, resolve=True)
            validation.check({key: value for key, value in plain.items() if not isinstance(value, dict)})
            validation.check_files(plain)
            raw = OmegaConf.to_container(calls, resolve=False)
            monitor.check_callbacks(raw)
            refuse_missing_packages(raw)
