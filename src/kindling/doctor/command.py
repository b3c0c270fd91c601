"""A command's config, and commands that differ from it in a few options."""

import shlex
from contextlib import nullcontext

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

NODES = ("data", "model", "optimizer")  # where an option arrives
CALLBACKS = ("gradients", "init", "last_step")
GROUPS = ("optimizer", "schedule", "average")


class Command:
    """A `python train.py ...` and what it builds.

    Args:
        line: the command.
        cfg, choices: its composed config, and group -> choice; composed here (0.1 s) where there are no choices.

    Attributes:
        options: name -> value, of the options that something in this run reads, as it arrives there, whether it was
            given as `lr` or as `optimizer.lr`; of the groups that matter here the choice.
        given: names of the overrides.
    """

    def __init__(self, line: str, cfg: DictConfig | None = None, choices: dict[str, str] | None = None):
        self.line = line
        self.overrides = shlex.split(line)[2:]
        self.given = {_key(word) for word in self.overrides}
        if not choices:
            cfg, choices = _composed(self.overrides)
        self.choices = choices
        self.raw = OmegaConf.to_container(cfg) | {"folder": ""}
        self.config = OmegaConf.to_container(OmegaConf.create(self.raw), resolve=True)
        self.read = read_options(self.raw)
        self.callbacks = {name: node for name, node in self.config["callbacks"].items() if node}
        self.options = self._options()

    def _options(self) -> dict:
        options = {k: v for k, v in self.config.items() if k in self.read and not isinstance(v, dict)}
        nodes = [self.config.get(name) for name in NODES] + [self.callbacks.get(name) for name in CALLBACKS]
        for node in filter(None, nodes):
            options |= {k: v for k, v in node.items() if k in self.config and not isinstance(self.config[k], dict)}
        if "activation" in options:
            options["activation"] = canonical(options["activation"])
        return options | {group: self.choices.get(group) or "none" for group in GROUPS}

    def own_lr(self) -> float | None:
        """Return the learning rate that the optimizer's YAML brings."""
        file = choice_file("optimizer", self.choices.get("optimizer"))
        return yaml.safe_load(file.read_text(encoding="utf-8")).get("lr") if file else None

    def with_options(self, *words: str) -> "Command | None":
        """Return the command with these overrides, or None where that trains the same or cannot be.

        Overrides that nothing would read are left out.
        """
        if "-m" in words:
            return self if self.config["data"].get("folds") is None else None
        try:
            new = self._changed(words)
            idle = [word for word in words if new._is_idle(word)]
            if idle:
                return self.with_options(*(word for word in words if word not in idle)) if idle != list(words) else None
            validation.check({k: v for k, v in new.config.items() if not isinstance(v, dict)})
        except (HydraException, OmegaConfBaseException, UserError):
            return None
        whole = all(node.get("_target_") for node in new.callbacks.values())
        return new if whole and new._built() != self._built() else None

    def _changed(self, words: tuple[str, ...]) -> "Command":
        """Return the command with these overrides; a plain value is set here, anything else composed by Hydra."""
        line, changes = replaced(self.line, *words), OverridesParser.create().parse_overrides(list(words))
        keys = {change.key_or_group for change in changes}
        others = self.raw.keys() - self.choices.keys() - {"monitor"}  # on which mode depends
        plain = {key for key in keys & others if not isinstance(self.raw[key], dict)}
        nested = {key for key in self.given if _is_of(key, keys)} - keys  # left out of the line
        if keys != plain or nested:
            return Command(line)
        cfg = OmegaConf.create(self.raw | {change.key_or_group: change.value() for change in changes})
        return Command(line, cfg, self.choices)

    def _is_idle(self, word: str) -> bool:
        key, _, value = word.partition("=")
        lines = validation.notes({key: value}, self.config, self.read, choices=self.choices)
        return any(line.startswith(f"note: {key}=") and "no effect" in line for line in lines)

    def _built(self) -> dict:
        built = {name: self.config.get(name) for name in (*BUILT, "seed")}
        return {**built, "activation": self.options.get("activation"), "model": _named(built["model"])}


def replaced(line: str, *words: str) -> str:
    """Return the command with these overrides in place of those of the same options, nested ones too."""
    keys = {_key(word) for word in words}
    kept = [word for word in shlex.split(line)[2:] if not _is_of(_key(word), keys)]
    if "-m" in words:
        kept = ["-m", *(word for word in kept if word != "hydra.mode=RUN")]
    return shlex.join(["python", "train.py", *kept, *(word for word in words if word != "-m")])


def _key(word: str) -> str:
    return word.lstrip("+~").split("=", 1)[0]


def _is_of(key: str, others: set[str]) -> bool:
    first, _, rest = key.partition(".")
    nested = first in (*NODES, "callbacks") and key.rpartition(".")[2] in others
    return key in others or nested or (bool(rest) and first in others)


def _named(model: dict) -> dict:
    return {**model, "activation": canonical(model["activation"])} if "activation" in model else model


def _composed(overrides: list[str]) -> tuple[DictConfig, dict[str, str]]:
    started = GlobalHydra.instance().is_initialized()  # by the run itself, with its own folders of choices
    with nullcontext() if started else initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides, return_hydra_config=True)
    job = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
    return job, OmegaConf.to_container(cfg.hydra.runtime.choices)
