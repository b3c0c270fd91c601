"""Which options a run reads, and which of them it records as hyperparameters. Does not import torch."""

import json
import re
from functools import cache

import yaml

from kindling.cli.conf import CONF, OF_A_RUN, OF_A_SWEEP, is_own

BUILT = ("data", "model", "callbacks", "logger", "trainer")  # the nodes of the config that train.py builds
GROUPS = ("data", "model", "optimizer")  # recorded in any case
MAIN = ("activation", "batch_size", "depth", "epochs", "hidden_sizes", "lr", "seed", "width")  # recorded where read
OFF = (None, "none", "auto", "tensorboard")  # choices of a group that are not worth a column


def read_options(raw: dict) -> set[str]:
    """Return the top-level keys of a config whose values reach something that train.py builds.

    Args:
        raw: the composed config as plain data, interpolations as they are.
    """
    found, waiting = {"seed"}, list(BUILT)
    while waiting:
        key = waiting.pop()
        if key in raw and key not in found:
            found.add(key)
            waiting += re.findall(r"\$\{(\w+)[.}]", json.dumps(raw[key], default=str))
    return found


def hyperparameters(raw: dict, resolved: dict, choices: dict[str, str], given: set[str]) -> dict:
    """Return what a run was made with, name -> value, for comparison with other runs.

    Recorded are the main options that this run reads, and of the others those that were given or that differ from
    conf/config.yaml; of a model that is not this package's also the arguments that its own YAML sets.

    Args:
        raw, resolved: the composed config as plain data, interpolations as they are and resolved.
        choices: group -> choice.
        given: names of the overrides, also nested ones such as `model.channels`.
    """
    read, usual = read_options(raw), _usual()
    values = {name: choice for name, choice in choices.items() if _counts(name, choice, read, given=given)}
    nodes = {name: resolved.get(name) or {} for name in ("data", "model")}  # where an option may be given as well
    unread = {"depth", "width"} if nodes["model"].get("hidden_sizes") is not None else {"hidden_sizes"}
    unread |= {"degree"} if nodes["data"].get("features") != "polynomial" else set()
    for name in sorted(name for name in read - unread if not isinstance(resolved.get(name), dict)):
        differs = name in usual and resolved[name] != usual[name] and "${" not in str(usual[name])
        if name not in (*OF_A_RUN, *OF_A_SWEEP) and name in resolved and (name in MAIN or name in given or differs):
            values[name] = resolved[name]
    model = raw.get("model") or {}
    is_foreign = not is_own(model.get("_target_"))
    own = [name for name, value in model.items() if name[0] != "_" and "${" not in str(value)]
    values |= {name: resolved["model"][name] for name in own if is_foreign and name not in values}
    for name in sorted(name for name in given if "." in name and name.partition(".")[0] in read):
        if not (is_foreign and name.removeprefix("model.") in values):
            values[name] = _at(resolved, name)
    return values


def _counts(group: str, choice: str, read: set[str], given: set[str]) -> bool:
    if "/" in group or (group == "optimizer" and group not in read):
        return False
    return group in GROUPS or group in given or choice not in OFF


@cache
def _usual() -> dict:
    return yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))


def _at(node: dict, path: str) -> object:
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node
