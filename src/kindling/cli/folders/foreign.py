"""Check what the files of a run folder would call: such a folder may come from somebody else, and opening it is safe.

A target is accepted if the project's own conf/ names it; or if it is a class of the kinds in KINDS, a function or class
in the project's own modules outside this package, or a function of PURE. It must be an attribute of the module in which
it is looked up, so that no other module can be reached through an attribute on the way. Interpolations may call only
resolvers that conf/ uses, because oc.env reads secrets and oc.decode hides what it makes; what writes files may only
write into the folder; and the overrides of a sweep may set only a few options of Hydra.
"""

import importlib
import importlib.util
import inspect
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from kindling import UserError
from kindling.cli.build import calls
from kindling.cli.conf import FOLDERS, groups
from kindling.cli.folders.load_yaml import INTERPOLATION, reject_large
from kindling.cli.folders.outside import WRITERS, leads_outside, texts, written_outside
from kindling.cli.plain import resolved_parts, to_dict
from kindling.files import PACKAGE, PROJECT, START

KINDS = {
    *("torch.nn.modules.module.Module", "torch.optim.optimizer.Optimizer", "torch.optim.lr_scheduler.LRScheduler"),
    *("torchmetrics.metric.Metric", "pytorch_lightning.callbacks.callback.Callback"),
    *("pytorch_lightning.loggers.logger.Logger", "pytorch_lightning.trainer.trainer.Trainer"),
    *("pytorch_lightning.core.datamodule.LightningDataModule", "pytorch_lightning.profilers.profiler.Profiler"),
}
PURE = ("torch.nn.functional", "torchmetrics.functional", f"{PACKAGE.name}.tasks.losses")
PURE_ORIGINS = ("torch.nn.", "torch._C", "torchmetrics.functional.", f"{PACKAGE.name}.tasks.")
TARGET = re.compile(r"_target_\"?'?\s*[:=]\s*[\"']?([\w.]+)")
MAX_INTERPOLATIONS = 20  # in the overrides of a sweep, because they can multiply
# Options of Hydra that a sweep may set; those of launchers only to numbers and words.
HYDRA = re.compile(r"hydra\.(?:(?:mode|verbose|job\.chdir|sweep\.dir|sweeper\.[\w.]+)=|launcher\.\w+=[\w.+-]+$)")


def reject_foreign_config(cfg: DictConfig, folder: Path, trust: bool = False) -> None:
    """Raise UserError if a config would call something that is not accepted, or not plainly named.

    Args:
        cfg: the config of a run.
        folder: its folder, for the error message.
        trust: accept everything.
    """
    if trust:
        return
    raw = to_dict(cfg, resolve=False)
    reject_large(raw, folder)
    reject_foreign_targets(raw, folder)
    for text in texts(raw):
        _reject_interpolations(text, folder)
    parts = [(str(key), part) for key in raw for part in resolved_parts(cfg, key)]
    for key, part in parts:
        reject_foreign_targets(part, folder)  # resolvers can make nodes with a target
        for text in texts(part.get("sources")) if key == "data" and isinstance(part, dict) else ():
            if text not in own_text():
                raise _untrusted(folder, f"would download from {text}, which conf/ does not name")
        if path := written_outside(key, part, cfg.folder):
            raise _untrusted(folder, f"would write to {path} ({key}), outside of the folder")


def reject_foreign_targets(config: Any, folder: Path, trust: bool = False) -> None:
    """Raise UserError if nested plain data has a `_target_` that is not accepted; see `reject_foreign_config`."""
    for call in () if trust else calls(config):
        target = str(call["_target_"])
        if target not in own_targets() and (why := _why_foreign(target, folder)):
            raise _foreign(folder, target, why)


def reject_foreign_overrides(overrides: list[str], folder: Path, trust: bool = False) -> None:
    """Raise UserError if the overrides in a folder have a target that is not accepted, or change more than a training.

    That is: they include other config files, set options of Hydra that can start programs or write anywhere, or let
    the run write outside of its folder.
    """
    if not trust and sum(override.count("${") for override in overrides) > MAX_INTERPOLATIONS:
        raise _untrusted(folder, f"has more than {MAX_INTERPOLATIONS} interpolations in its overrides")
    for override in () if trust else overrides:
        for target in TARGET.findall(override):
            if target not in own_targets() and (why := _why_foreign(target, folder)):
                raise _foreign(folder, target, why)
        _reject_interpolations(override, folder)
        name, _, value = override.lstrip("+~").partition("=")
        top = re.split("[.@/]", name)[0]
        is_listed = HYDRA.match(override.lstrip("+~")) and "hydra" not in value
        if name == "folder" or (name.startswith("hydra.") and not is_listed):
            raise _untrusted(
                folder, f"would set {override}, which can change what is called or where files are written"
            )
        is_choice = "/" in name or name.partition("@")[0] in groups()
        if (is_choice or top in (*WRITERS, "hydra")) and leads_outside(value):
            raise _untrusted(folder, f"would set {override}, a path outside of the folder")


@cache
def own_text() -> str:
    """Return the project's own YAML files."""
    files = [file for folder in FOLDERS for file in folder.rglob("*.yaml")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@cache
def own_targets() -> frozenset[str]:
    """Return the targets that the project's own YAML files name."""
    return frozenset(TARGET.findall(own_text()))


@cache
def own_resolvers() -> frozenset[str]:
    """Return the resolvers that the project's own YAML files call."""
    return frozenset(name for name, after in INTERPOLATION.findall(own_text()) if after == ":")


def _reject_interpolations(text: str, folder: Path) -> None:
    """Raise UserError for an interpolation that computes a target, or calls a resolver that conf/ does not call."""
    if "${" in text and "_target_" in text:
        raise _foreign(folder, text, "which is computed")
    for name, after in INTERPOLATION.findall(text):
        if after != "}" and (after != ":" or name not in own_resolvers()):
            raise _untrusted(folder, f"has the interpolation {text}, which could read secrets or execute code")


def _why_foreign(target: str, folder: Path) -> str | None:
    """Return why a target is not accepted, or None. Its module is imported, if it cannot have come with the folder."""
    module_name, _, name = target.rpartition(".")
    top = module_name.partition(".")[0]
    if not re.fullmatch(r"[\w.]+", target) or not top or top in sys.stdlib_module_names or "__" in target:
        return "which is not a class or function of this project or of a library for training"
    if not _is_installed(top, folder.resolve()):
        return "which is not in an installed package or next to train.py"
    try:
        found = vars(importlib.import_module(module_name))[name]
    except (ImportError, KeyError):
        return f"which does not exist in a module {module_name}"
    origin = str(getattr(found, "__module__", ""))
    if inspect.isclass(found) and KINDS & {f"{base.__module__}.{base.__qualname__}" for base in found.__mro__}:
        return None
    if module_name.startswith(PURE) and origin.startswith(PURE_ORIGINS) and callable(found):
        return None
    is_own = (inspect.isclass(found) or inspect.isfunction(found)) and _is_project(origin.partition(".")[0])
    return None if is_own else "which is neither of this project nor a model, data set, optimizer, metric or callback"


def _is_installed(top: str, folder: Path) -> bool:
    """Return whether a top-level module is neither part of a run's folder, nor around it, nor in the working folder.

    A folder without __init__.py, such as runs/, is a package too for Python, with all files in it. The working folder
    is accepted if PYTHONPATH names it.
    """
    spec = importlib.util.find_spec(top)  # does not import a module at the top level
    if spec is None or not spec.origin:
        return False
    place, is_package = Path(spec.origin).resolve().parent, bool(spec.submodule_search_locations)
    if place == PROJECT:
        return True
    if place.is_relative_to(folder) or (is_package and folder.is_relative_to(place)):
        return False
    root = place.parent if is_package else place
    named = [Path(path).resolve() for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return root != START.resolve() or root in (PROJECT, *named)  # python -m puts the working folder first in sys.path


def _is_project(top: str) -> bool:
    """Return whether a top-level module is a file or folder of the project, apart from this package."""
    spec = importlib.util.find_spec(top) if top and top != PACKAGE.name else None
    origin = Path(spec.origin) if spec and spec.origin else None
    return origin is not None and any(origin.parent in (root, root / top) for root in (PROJECT, PROJECT / "src"))


def _foreign(folder: Path, found: str, why: str) -> UserError:
    return _untrusted(folder, f"would call {found}, {why}, and that could execute arbitrary code")


def _untrusted(folder: Path, what: str) -> UserError:
    return UserError(f"{folder} {what}. If you trust its source, add trust=true.")
