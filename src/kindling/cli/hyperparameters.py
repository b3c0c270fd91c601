"""The options that a run reads, and those that it records as hyperparameters. Does not import torch."""

import json
import re
from functools import cache
from typing import Any

import yaml

from kindling.cli.conf import CONF, RUN_OPTIONS, SWEEP_OPTIONS

BUILT = ("data", "model", "callbacks", "logger", "trainer")  # the nodes of the config that train.py instantiates
GROUPS = ("data", "model", "optimizer")  # always recorded
MAIN = ("activation", "batch_size", "depth", "epochs", "hidden_sizes", "lr", "seed", "width")  # recorded if read
OFF = (None, "none", "auto", "tensorboard")  # choices that are not recorded unless given


def read_options(raw: dict[str, Any]) -> set[str]:
    """Return the top-level keys of a config whose values reach something that train.py instantiates.

    Args:
        raw: the composed config as plain data, with unresolved interpolations.
    """
    found, pending = {"seed"}, list(BUILT)
    while pending:
        key = pending.pop()
        if key in raw and key not in found:
            found.add(key)
            pending += re.findall(r"\$\{(\w+)[.}]", json.dumps(raw[key], default=str))
    return found


def hyperparameters(
    raw: dict[str, Any], resolved: dict[str, Any], choices: dict[str, str], given: set[str]
) -> dict[str, Any]:
    """Return the hyperparameters of a run, name -> value, for comparison with other runs.

    These are the main options that the run reads, other options that were given or that differ from conf/config.yaml,
    and the arguments that the model's own YAML file sets.

    Args:
        raw: the composed config as plain data, with unresolved interpolations.
        resolved: the same with resolved interpolations.
        choices: group -> choice.
        given: names of the overrides, including nested ones such as `model.channels`.
    """
    read, defaults = read_options(raw), _defaults()
    values: dict[str, Any] = {k: choice for k, choice in choices.items() if _is_recorded(k, choice, read, given=given)}
    nodes = {name: resolved.get(name) or {} for name in ("data", "model")}  # an option may be overridden there
    unread = {"depth", "width"} if nodes["model"].get("hidden_sizes") is not None else {"hidden_sizes"}
    unread |= {"degree"} if nodes["data"].get("features") != "polynomial" else set()
    for name in sorted(name for name in read - unread if not isinstance(resolved.get(name), dict)):
        differs = name in defaults and resolved[name] != defaults[name] and "${" not in str(defaults[name])
        if (
            name not in (*RUN_OPTIONS, *SWEEP_OPTIONS)
            and name in resolved
            and (name in MAIN or name in given or differs)
        ):
            values[name] = resolved[name]
    model = raw.get("model") or {}
    own = [name for name, value in model.items() if name[0] != "_" and "${" not in str(value)]
    values |= {name: resolved["model"][name] for name in own if name not in unread and name not in values}
    for name in sorted(name for name in given if "." in name and name.partition(".")[0] in read):
        short, value = name.removeprefix("model."), _select(resolved, name)
        if short not in values or values[short] != value:
            values[name] = value
    return values


def _is_recorded(group: str, choice: str, read: set[str], given: set[str]) -> bool:
    if "/" in group or (group == "optimizer" and group not in read):
        return False
    return group in GROUPS or group in given or choice not in OFF


@cache
def _defaults() -> dict[str, Any]:
    return yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))


def _select(config: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path, or None."""
    node: Any = config
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node
