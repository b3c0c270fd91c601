"""The config groups, their choices, and the names of the options."""

import ast
from functools import cache
from pathlib import Path

import yaml

from kindling.files import PACKAGE, PROJECT

CONF = PROJECT / "conf"
FOLDERS = [CONF, *sorted(PACKAGE.glob("*/conf"))]  # an optional part of the package may have configs of its own

# Options that control how something is run rather than what is trained. None of them is a hyperparameter.
SWEEP_OPTIONS = {  # name -> default
    **{"repeat": "1", "folds": "null", "on_error": "continue"},
    **{"sweep.name": "null", "sweep.baselines": "[]"},
}
RUN_OPTIONS = ("folder", "resume", "test", "trust", "verbose")
RESUMABLE = ("epochs", "trainer", "trust", "verbose", "resume")  # the options that may change when a run is resumed


def groups() -> list[str]:
    """Return the config groups, without Hydra's."""
    found = {path.name for folder in FOLDERS for path in folder.iterdir() if path.is_dir()}
    return sorted(found - {"hydra", "__pycache__"})


def choices(group: str) -> list[str]:
    """Return the choices of a group; files whose name starts with _ are only included by others."""
    folders = [folder / group for folder in FOLDERS]
    files = [(file, folder) for folder in folders for file in folder.rglob("[!_]*.yaml")]
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file, folder in files)


def choice_file(group: str, choice: str | None) -> Path | None:
    """Return the YAML file of a group's choice, or None if there is none."""
    files = (folder / group / f"{choice}.yaml" for folder in FOLDERS)
    return next((file for file in files if file.is_file()), None)


@cache
def options() -> frozenset[str]:
    """Return the names at the top level of the config, including those of groups."""
    top = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    return frozenset({*top, *groups()} - {"defaults", "hydra"})


def is_builtin(target: object) -> bool:
    """Return whether a `_target_` is in this package."""
    return str(target).startswith(f"{PACKAGE.name}.")


def dict_keys(file: str, variable: str) -> list[str]:
    """Return the keys of a dict, or of the dicts in it, that a module of the package defines, without importing it.

    Losses and initializations are defined in modules that import torch, and a wrong name is rejected before that.

    Args:
        file: the path of the module's file, relative to the package.
        variable: the name that the dict is assigned to.
    """
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign)]
    values = [node.value for node in nodes if node.value and variable in ast.unparse(node).partition("=")[0]]
    dicts = [node for value in values for node in ast.walk(value) if isinstance(node, ast.Dict)]
    pairs = [pair for node in dicts for pair in zip(node.keys, node.values, strict=True)]
    keys = [str(k.value) for k, value in pairs if isinstance(k, ast.Constant) and not isinstance(value, ast.Dict)]
    return list(dict.fromkeys(keys))
