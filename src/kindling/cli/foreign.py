"""Check what the files of a run folder would call: such a folder may come from somebody else, and opening it is safe.

A target is accepted if the project's own conf/ names it; or if it is a class of the kinds in KINDS, a function or class
in the project's own modules outside this package, or a function of PURE. It must be an attribute of the module in which
it is looked up, so that no other module can be reached through an attribute on the way.
"""

import importlib
import importlib.util
import inspect
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from kindling import UserError
from kindling.cli.build import calls
from kindling.cli.conf import FOLDERS
from kindling.cli.plain import to_dict
from kindling.files import PACKAGE, PROJECT

KINDS = {
    *("torch.nn.modules.module.Module", "torch.optim.optimizer.Optimizer", "torch.optim.lr_scheduler.LRScheduler"),
    *("torchmetrics.metric.Metric", "pytorch_lightning.callbacks.callback.Callback"),
    *("pytorch_lightning.loggers.logger.Logger", "pytorch_lightning.trainer.trainer.Trainer"),
    *("pytorch_lightning.core.datamodule.LightningDataModule", "pytorch_lightning.profilers.profiler.Profiler"),
}
PURE = ("torch.nn.functional", "torchmetrics.functional", f"{PACKAGE.name}.tasks.losses")
PURE_ORIGINS = ("torch.nn.", "torch._C", "torchmetrics.functional.", f"{PACKAGE.name}.tasks.")
TARGET = re.compile(r"_target_\"?'?\s*[:=]\s*[\"']?([\w.]+)")


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
    reject_foreign_targets(raw, folder)
    for text in _texts(raw):
        if "${" in text and "_target_" in text:
            raise _foreign(folder, text, "which is computed")
    for key in raw:
        try:
            node = cfg[key]  # resolvers can make nodes with a target
            resolved = to_dict(node, resolve=True) if isinstance(node, DictConfig | ListConfig) else node
        except OmegaConfBaseException:  # such a node cannot be built either
            continue
        reject_foreign_targets(resolved, folder)


def reject_foreign_targets(config: Any, folder: Path, trust: bool = False) -> None:
    """Raise UserError if nested plain data has a `_target_` that is not accepted; see `reject_foreign_config`."""
    for call in () if trust else calls(config):
        target = str(call["_target_"])
        if target not in own_targets() and (why := _why_foreign(target)):
            raise _foreign(folder, target, why)


def reject_foreign_overrides(overrides: list[str], folder: Path, trust: bool = False) -> None:
    """Raise UserError if the overrides in a folder have a target that is not accepted, or another search path."""
    for override in () if trust else overrides:
        for target in TARGET.findall(override):
            if target not in own_targets() and (why := _why_foreign(target)):
                raise _foreign(folder, target, why)
        name = override.lstrip("+~").partition("=")[0]
        if ("${" in override and "_target_" in override) or name.startswith(("hydra.searchpath", "hydra.callbacks")):
            raise _foreign(folder, override, "which changes where configs come from")


@cache
def own_targets() -> frozenset[str]:
    """Return the targets that the project's own YAML files name."""
    files = [file for folder in FOLDERS for file in folder.rglob("*.yaml")]
    return frozenset(name for file in files for name in TARGET.findall(file.read_text(encoding="utf-8")))


def _why_foreign(target: str) -> str | None:
    """Return why a target is not accepted, or None. Its module is imported, which must be of an installed package."""
    module_name, _, name = target.rpartition(".")
    top = module_name.partition(".")[0]
    if not re.fullmatch(r"[\w.]+", target) or not top or top in sys.stdlib_module_names or "__" in target:
        return "which is not a class or function of this project or of a library for training"
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


def _is_project(top: str) -> bool:
    """Return whether a top-level module is a file or folder of the project, apart from this package."""
    spec = importlib.util.find_spec(top) if top and top != PACKAGE.name else None
    origin = Path(spec.origin) if spec and spec.origin else None
    return origin is not None and any(origin.parent in (root, root / top) for root in (PROJECT, PROJECT / "src"))


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in _texts(value)]
    return [text for value in node for text in _texts(value)] if isinstance(node, list) else [str(node)]


def _foreign(folder: Path, found: str, why: str) -> UserError:
    return UserError(
        f"{folder} would call {found}, {why}, and that could execute arbitrary code. If you trust its source, add "
        "trust=true."
    )
