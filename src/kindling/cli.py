"""The command line: help, refusals, run folders. Torch is imported by `build` at the earliest."""

import json
import logging
import os
import re
import secrets
import shlex
import sys
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from kindling import UserError, entry, knobs, monitor, resume
from kindling.build import build, refuse_missing_packages
from kindling.errors import plain_errors, refuse
from kindling.hyperparameters import hyperparameters, read_options
from kindling.names import CONF, choices, groups

__all__ = ["CONF", "Check", "build", "plain_errors"]

entry.require_project()

# Before torch is imported. Its waiting threads spin for long, on a busy machine on the core that another of them needs.
# An epoch of MNIST on 2 cores: 2.9 s with and without; beside one busy process 12 s in place of 113 s.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

log = logging.getLogger("kindling")
HELP = """Train one variant:   python train.py [group=choice ...] [knob=value ...]
Sweep over several:  python train.py -m activation=relu,tanh depth=1,2,4

{choices}

--cfg job prints the composed config; all in it can be overridden, e.g. +trainer.deterministic=true.
--hydra-help lists Hydra's own flags."""


def help_text() -> str:
    """Every group's choices with the first line of their comment, and every knob with its own.

    Not Hydra's template: Hydra reads every yaml of every group first (0.2 s for 25 of them).
    """
    lines = []
    for group in groups():
        lines.append(f"{group}:")
        for name in choices(group):
            text = (CONF / group / f"{name}.yaml").read_text(encoding="utf-8")
            comments = (line[1:].strip() for line in text.splitlines() if line.startswith("#"))
            lines.append(f"  {name:22} {next((line for line in comments if not line.startswith('@')), '')}")
    lines.append("knobs:")
    for line in (CONF / "config.yaml").read_text(encoding="utf-8").splitlines():
        match = re.match(r"(\w+): (\S.*?)\s+# (.*)", line)
        if match:
            lines.append(f"  {match[1]:22} {match[3]} (default {match[2]})")
    return HELP.format(choices="\n".join(lines))


def hyperparameters_of(cfg: DictConfig, overrides: list[str]) -> dict:
    """Return what TensorBoard's HPARAMS tab shows of a run, as plain data."""
    raw, resolved = (OmegaConf.to_container(cfg, resolve=resolve) for resolve in (False, True))
    return hyperparameters(raw, resolved, choices_of(cfg), set(resume.typed(overrides)), CONF)


def choices_of(cfg: DictConfig) -> dict[str, str]:
    """Return group -> choice, of a resumed run those of its start; empty where Hydra has not started the program."""
    chosen = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    if cfg.resume:
        chosen = OmegaConf.load(Path(cfg.folder) / ".hydra" / "hydra.yaml").hydra.runtime.choices
    return {group: choice for group, choice in chosen.items() if "/" not in group and choice}


def wants_test(cfg: DictConfig) -> bool:
    """Whether to score the test rows: of a sweep's jobs only where it was asked for."""
    in_sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    return cfg.test is True or (cfg.test == "auto" and not in_sweep)


def command(overrides: list[str]) -> str:
    """What reproduces the run, without how it was resumed; of an experiment that sweeps, the one run."""
    words = [word for word in overrides if not word.startswith(("resume=", "folder=", "test="))]
    if HydraConfig.initialized() and "hydra.searchpath" not in resume.typed(words):
        words = [*resume.search_path(HydraConfig.get()), *words]
    file = CONF / "experiment" / f"{resume.typed(words).get('experiment')}.yaml"
    own = yaml.safe_load(file.read_text(encoding="utf-8")) or {} if file.is_file() else {}
    if (own.get("hydra") or {}).get("mode") == "MULTIRUN":
        words.append("hydra.mode=RUN")
    return shlex.join(["python", "train.py", *words])


def say_notes(cfg: DictConfig, overrides: list[str]) -> None:
    """Log a line for every option that was given and does nothing."""
    raw, resolved = (OmegaConf.to_container(cfg, resolve=resolve) for resolve in (False, True))
    for line in knobs.notes(resume.typed(overrides), resolved, read_options(raw), CONF, choices_of(cfg)):
        log.info(line)


def changed(overrides, above: str = "data model") -> str:
    """The typed knobs as part of a folder's name, without those that stand in the folder above it."""
    left_out = (*above.split(), "verbose", "logger", "resume")
    shown = [word.lstrip("+~") for word in overrides if word.split("=")[0] not in left_out]
    name = re.sub(r"[^A-Za-z0-9_=.,+-]+", "-", "_".join(shown)).strip("-")
    return f"_{name[:100]}" if name else ""


OmegaConf.register_new_resolver("unique", lambda: secrets.token_hex(3), use_cache=True)
OmegaConf.register_new_resolver("or", lambda *values: next((value for value in values if value), None))
OmegaConf.register_new_resolver("changed", changed)
OmegaConf.register_new_resolver("better", lambda name: monitor.direction(name) or "auto")


class Check(Callback):
    """Runs before the run's folder is made. Hydra swallows a callback's exceptions, but not SystemExit."""

    def on_run_start(self, config: DictConfig, **kwargs) -> None:
        folder = OmegaConf.to_container(config.hydra.run, resolve=False)["dir"]
        typed = "${" not in folder and not config.resume and "LOCAL_RANK" not in os.environ
        if typed and (Path(folder) / ".claim").exists():  # Hydra would write over its .hydra/
            refuse(f"{folder} has a run already: leave hydra.run.dir out, or continue it with resume={folder}.")
        with plain_errors():
            knobs.refuse_sweep_options(list(config.hydra.overrides.task))
        self._check(config)

    def on_job_start(self, config: DictConfig, **kwargs) -> None:
        self._check(config)  # of a sweep, where on_run_start is not called

    def on_run_end(self, config: DictConfig, job_return: JobReturn, **kwargs) -> None:
        """Exit with code 2 after what the user can mend, and with code 1 after a run that diverged, as a sweep does."""
        if isinstance(job_return._return_value, UserError):  # Hydra would put a line of its own before it
            refuse(str(job_return._return_value))
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
            knobs.check({key: value for key, value in plain.items() if not isinstance(value, dict)})
            knobs.check_files(plain)
            raw = OmegaConf.to_container(calls, resolve=False)
            monitor.check_callbacks(raw)
            refuse_missing_packages(raw)
