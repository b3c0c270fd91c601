"""What was given on the command line: notes, hyperparameters, a folder's name, the command that repeats the run."""

import logging
import re
import secrets
import shlex
from pathlib import Path

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from kindling.cli import validation
from kindling.cli.conf import choice_file
from kindling.cli.hyperparameters import hyperparameters, read_options
from kindling.cli.monitor import direction

log = logging.getLogger("kindling")


def given() -> list[str]:
    """Return the overrides of this job as they were given, interpolations too."""
    return OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)


def hyperparameters_of(cfg: DictConfig, overrides: list[str]) -> dict:
    """Return what TensorBoard's HPARAMS tab shows of a run, as plain data."""
    raw, resolved = (OmegaConf.to_container(cfg, resolve=resolve) for resolve in (False, True))
    return hyperparameters(raw, resolved, choices_of(cfg), given=set(typed(overrides)))


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
    if HydraConfig.initialized() and "hydra.searchpath" not in typed(words):
        words = [*search_path(HydraConfig.get()), *words]
    file = choice_file("experiment", typed(words).get("experiment"))
    own = (yaml.safe_load(file.read_text(encoding="utf-8")) if file else None) or {}
    if (own.get("hydra") or {}).get("mode") == "MULTIRUN":
        words.append("hydra.mode=RUN")
    return shlex.join(["python", "train.py", *words])


def say_notes(cfg: DictConfig, overrides: list[str]) -> None:
    """Log a line for every option that was given and does nothing."""
    raw, resolved = (OmegaConf.to_container(cfg, resolve=resolve) for resolve in (False, True))
    for line in validation.notes(typed(overrides), resolved, read_options(raw), choices=choices_of(cfg)):
        log.info(line)


def changed(overrides, above: str = "data model") -> str:
    """The typed knobs as part of a folder's name, without those that stand in the folder above it."""
    left_out = (*above.split(), "verbose", "logger", "resume")
    shown = [word.lstrip("+~") for word in overrides if word.split("=")[0] not in left_out]
    name = re.sub(r"[^A-Za-z0-9_=.,+-]+", "-", "_".join(shown)).strip("-")
    return f"_{name[:100]}" if name else ""


def search_path(hydra: DictConfig) -> list[str]:
    """Return the override that gives Hydra the further folders of configs that it was given, if there were any.

    Args:
        hydra: the node of that name in Hydra's own config.
    """
    sources = hydra.runtime.get("config_sources") or ()
    given = [source for source in sources if "command-line" in source.provider]
    found = [f"{source.schema}://{source.path}" for source in given]
    plain = [path if re.fullmatch(r"[\w:/.-]+", path) else f"'{path}'" for path in found]
    return [f"hydra.searchpath=[{','.join(plain)}]"] if plain else []


def typed(overrides: list[str]) -> dict[str, str]:
    """What stands on the command line, key -> value."""
    pairs = (word.lstrip("+~").split("=", 1) for word in overrides)
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


def register() -> None:
    """Register them with OmegaConf; a second time changes nothing."""
    for name, resolver in RESOLVERS.items():
        OmegaConf.register_new_resolver(name, resolver, use_cache=name == "unique", replace=True)


RESOLVERS = {
    "unique": lambda: secrets.token_hex(3),
    "or": lambda *values: next((value for value in values if value is not None and value != ""), None),
    "changed": changed,
    "better": lambda name: direction(name) or "auto",
}
