"""The folders of choices: what the groups, their choices and the options are."""

import ast
from functools import cache
from pathlib import Path

import yaml

from kindling.files import PACKAGE, PROJECT

CONF = PROJECT / "conf"
FOLDERS = [CONF, *sorted(PACKAGE.glob("*/conf"))]  # an optional part of the package may bring choices of its own

# Options that say how something is run, and not what is trained. None of them is a hyperparameter.
OF_A_SWEEP = {"repeat": "1", "folds": "null", "on_error": "continue", "sweep.name": "null"}  # and their defaults
OF_A_RUN = ("folder", "resume", "test", "trust", "verbose")
RESUMABLE = ("epochs", "trainer", "trust", "verbose", "resume")  # what a resumed run may change


def groups() -> list[str]:
    """Return the groups, those of hydra left out."""
    found = {path.name for folder in FOLDERS for path in folder.iterdir() if path.is_dir()}
    return sorted(found - {"hydra", "__pycache__"})


def choices(group: str) -> list[str]:
    """Return the choices of a group; a file that starts with _ is for others to build on."""
    folders = [folder / group for folder in FOLDERS]
    files = [(file, folder) for folder in folders for file in folder.rglob("[!_]*.yaml")]
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file, folder in files)


def choice_file(group: str, choice: str | None) -> Path | None:
    """Return the YAML of a group's choice, or None where there is none."""
    files = (folder / group / f"{choice}.yaml" for folder in FOLDERS)
    return next((file for file in files if file.is_file()), None)


@cache
def options() -> frozenset[str]:
    """Return the names that stand at the top of the config, those of groups included."""
    top = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    return frozenset({*top, *groups()} - {"defaults", "hydra"})


def is_own(target: object) -> bool:
    """Return whether a `_target_` is in this package."""
    return str(target).startswith(f"{PACKAGE.name}.")


def names_in(file: str, table: str) -> list[str]:
    """Return the names in a table in one of the package's files, or in the tables in that, without importing it.

    Losses and initialisations are written in modules that import torch, and a wrong name is refused before that.
    """
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    tables = [node for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    wanted = [node.value for node in tables if table in ast.unparse(node).partition("=")[0]]
    dicts = [node for found in wanted for node in ast.walk(found) if isinstance(node, ast.Dict)]
    pairs = [pair for node in dicts for pair in zip(node.keys, node.values, strict=True)]
    names = [k.value for k, value in pairs if isinstance(k, ast.Constant) and not isinstance(value, ast.Dict)]
    return list(dict.fromkeys(names))
