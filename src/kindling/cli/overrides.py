"""Uses of the command-line overrides: notes, hyperparameters, the command that reproduces a run."""

import logging
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from kindling.cli import validation
from kindling.cli.conf import choice_file
from kindling.cli.folders.read import read_hydra
from kindling.cli.hyperparameters import hyperparameters, read_options
from kindling.cli.plain import to_dict

log = logging.getLogger("kindling")


def task_overrides() -> list[str]:
    """Return the overrides of the current Hydra job, with unresolved interpolations."""
    return cast(list[str], OmegaConf.to_container(cast(ListConfig, HydraConfig.get().overrides.task), resolve=False))


def hyperparameters_of(cfg: DictConfig, overrides: list[str]) -> dict[str, Any]:
    """Return a run's hyperparameters, as shown in TensorBoard's HPARAMS tab."""
    raw, resolved = (to_dict(cfg, resolve=resolve) for resolve in (False, True))
    return hyperparameters(raw, resolved, choices_of(cfg), given=set(parse_overrides(overrides)))


def choices_of(cfg: DictConfig) -> dict[str, str]:
    """Return group -> choice; a resumed run has its original choices, and a program without Hydra none."""
    chosen = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    if cfg.resume:
        chosen = read_hydra(Path(cfg.folder)).runtime.choices
    return {group: choice for group, choice in chosen.items() if "/" not in group and choice}


def wants_test(cfg: DictConfig) -> bool:
    """Return whether to evaluate on the test samples; with test=auto, the jobs of a sweep do not."""
    in_sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    return cfg.test is True or (cfg.test == "auto" and not in_sweep)


def command(overrides: list[str]) -> str:
    """Return the command that reproduces a run, as a single run that is not resumed."""
    args = [arg for arg in overrides if not arg.startswith(("resume=", "folder=", "test="))]
    if HydraConfig.initialized() and "hydra.searchpath" not in parse_overrides(args):
        args = [*search_path(cast(DictConfig, HydraConfig.get())), *args]
    file = choice_file("experiment", parse_overrides(args).get("experiment"))
    experiment = (yaml.safe_load(file.read_text(encoding="utf-8")) if file else None) or {}
    if (experiment.get("hydra") or {}).get("mode") == "MULTIRUN":
        args.append("hydra.mode=RUN")
    return shlex.join(["python", "train.py", *args])


def log_notes(cfg: DictConfig, overrides: list[str]) -> None:
    """Log a line for every override that has no effect."""
    raw, resolved = (to_dict(cfg, resolve=resolve) for resolve in (False, True))
    for line in validation.notes(parse_overrides(overrides), resolved, read_options(raw), choices=choices_of(cfg)):
        log.info(line)


def search_path(hydra: Any) -> list[str]:
    """Return the override for the additional config folders that Hydra was given, if any.

    Args:
        hydra: the node `hydra` of Hydra's own config.
    """
    sources = hydra.runtime.get("config_sources") or ()
    paths = [f"{source.schema}://{source.path}" for source in sources if "command-line" in source.provider]
    quoted = [path if re.fullmatch(r"[\w:/.-]+", path) else f"'{path}'" for path in paths]
    return [f"hydra.searchpath=[{','.join(quoted)}]"] if quoted else []


def parse_overrides(overrides: Iterable[str]) -> dict[str, str]:
    """Return key -> value for overrides, without the prefixes + and ~."""
    pairs = (override.lstrip("+~").split("=", 1) for override in overrides)
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}
