"""The config of a command, and commands that differ from it in a few options."""

import re
import shlex
from contextlib import nullcontext
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kindling import UserError
from kindling.activations import canonical
from kindling.cli import validation
from kindling.cli.conf import CONF, choice_file
from kindling.cli.hyperparameters import BUILT, read_options
from kindling.cli.plain import to_dict

NODES = ("data", "model", "optimizer")  # nodes that options are passed to
CALLBACKS = ("gradients", "init", "last_step")
GROUPS = ("optimizer", "schedule", "average")


class Command:
    """A command `python train.py ...` and its config.

    Args:
        line: the command.
        cfg: its composed config; None: composed here (0.1 s).
        choices: group -> choice; without them the config is composed too.

    Attributes:
        options: name -> final value of the options that this run reads, whether given as `lr` or as `optimizer.lr`,
            and of some groups the choice.
        given: names of the overrides.
    """

    def __init__(self, line: str, cfg: DictConfig | None = None, choices: dict[str, str] | None = None):
        self.line = line
        self.overrides = shlex.split(line)[2:]
        self.given = {_key(override) for override in self.overrides}
        if cfg is None or not choices:
            cfg, choices = _composed(self.overrides)
        self.choices = choices
        self.raw = to_dict(cfg, resolve=False) | {"folder": ""}
        self.config = to_dict(OmegaConf.create(self.raw), resolve=True)
        self.read = read_options(self.raw)
        self.callbacks = {name: node for name, node in self.config["callbacks"].items() if node}
        self.options = self._options()

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {k: v for k, v in self.config.items() if k in self.read and not isinstance(v, dict)}
        nodes = [self.config.get(name) for name in NODES] + [self.callbacks.get(name) for name in CALLBACKS]
        for node in filter(None, nodes):
            options |= {k: v for k, v in node.items() if k in self.config and not isinstance(self.config[k], dict)}
        if options.get("activation"):
            options["activation"] = canonical(options["activation"])
        return options | {group: self.choices.get(group) or "none" for group in GROUPS}

    def default_lr(self) -> float | None:
        """Return the default learning rate in the YAML file of the model or else of the optimizer."""
        files = [choice_file(group, self.choices.get(group)) for group in ("model", "optimizer")]
        rates = [yaml.safe_load(file.read_text(encoding="utf-8")).get("lr") for file in files if file]
        return next((rate for rate in rates if rate), None)

    def schedule_of_model(self) -> str | None:
        """Return the schedule that the YAML file of the model chooses, if any."""
        file = choice_file("model", self.choices.get("model"))
        found = re.search(r"override /schedule: (\w+)", file.read_text(encoding="utf-8")) if file else None
        return found[1] if found else None

    def with_options(self, *overrides: str) -> "Command | None":
        """Return the command with additional overrides, without those that have no effect.

        Returns:
            None if the command would be invalid or would train the same model.
        """
        if "-m" in overrides:
            return self if self.config["data"].get("folds") is None else None
        try:
            new = self._changed(overrides)
            idle = [override for override in overrides if new._is_idle(override)]
            if idle:
                others = [override for override in overrides if override not in idle]
                return self.with_options(*others) if others else None
            validation.check({k: v for k, v in new.config.items() if not isinstance(v, dict)})
        except (HydraException, OmegaConfBaseException, UserError):
            return None
        is_complete = all(node.get("_target_") for node in new.callbacks.values())
        return new if is_complete and new._built() != self._built() else None

    def _changed(self, overrides: tuple[str, ...]) -> "Command":
        """Return the command with these overrides; plain values are set here, anything else is composed by Hydra."""
        line, changes = replaced(self.line, *overrides), OverridesParser.create().parse_overrides(list(overrides))
        keys = {change.key_or_group for change in changes}
        others = self.raw.keys() - self.choices.keys() - {"monitor"}  # mode depends on monitor
        plain = {key for key in keys & others if not isinstance(self.raw[key], dict)}
        nested = {key for key in self.given if _is_of(key, keys)} - keys  # removed from the line
        if keys != plain or nested:
            return Command(line)
        cfg = OmegaConf.create(self.raw | {change.key_or_group: change.value() for change in changes})
        return Command(line, cfg, self.choices)

    def _is_idle(self, override: str) -> bool:
        key, _, value = override.partition("=")
        lines = validation.notes({key: value}, self.config, self.read, choices=self.choices)
        return any(line.startswith(f"note: {key}=") and "no effect" in line for line in lines)

    def _built(self) -> dict[str, Any]:
        built = {name: self.config.get(name) for name in (*BUILT, "seed")}
        return {**built, "activation": self.options.get("activation"), "model": _canonical(self.config["model"])}


def replaced(line: str, *overrides: str) -> str:
    """Return the command with these overrides, which replace those of the same options, including nested ones."""
    keys = {_key(override) for override in overrides}
    kept = [override for override in shlex.split(line)[2:] if not _is_of(_key(override), {*keys, "debug"})]
    if "-m" in overrides:
        kept = ["-m", *(override for override in kept if override != "hydra.mode=RUN")]
    return shlex.join(["python", "train.py", *kept, *(override for override in overrides if override != "-m")])


def _key(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0]


def _is_of(key: str, others: set[str]) -> bool:
    first, _, rest = key.partition(".")
    nested = first in (*NODES, "callbacks") and key.rpartition(".")[2] in others
    return key in others or nested or (bool(rest) and first in others)


def _canonical(model: dict[str, Any]) -> dict[str, Any]:
    return {**model, "activation": canonical(model["activation"])} if "activation" in model else model


def _composed(overrides: list[str]) -> tuple[DictConfig, dict[str, str]]:
    started = GlobalHydra.instance().is_initialized()  # by the run itself, with its own config folders
    with nullcontext() if started else initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides, return_hydra_config=True)
    job = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return job, to_dict(cfg.hydra.runtime.choices, resolve=False)
