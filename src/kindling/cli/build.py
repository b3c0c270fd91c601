"""Instantiate the nodes of the config, with error messages for those that cannot be instantiated."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from kindling import UserError
from kindling.cli.conf import is_builtin
from kindling.cli.plain import to_dict
from kindling.cli.suggestions import suggest
from kindling.files import PACKAGE

# Lightning's classes that need a package which is not installed with Lightning.
OPTIONAL = {
    **{"RichProgressBar": "rich", "RichModelSummary": "rich", "MLFlowLogger": "mlflow", "WandbLogger": "wandb"},
    **{"CometLogger": "comet_ml", "NeptuneLogger": "neptune"},
}
PIP_NAMES = {"comet_ml": "comet-ml", "sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python"}
NO_DEVICE = re.compile(r"No supported gpu backend found|accelerator is not available")
MISSING_PACKAGE = re.compile(r"pip install (?:-U )?['\"`]*([\w-]+)|No module named '(\w+)|requires `?(\w+)")


def build(node: DictConfig | dict[str, Any], **kwargs: Any) -> Any:
    """Instantiate a node of the config.

    Args:
        node: a mapping with a `_target_`.
        kwargs: additional arguments; only those that the target has (all of them if it takes `**kwargs`) and that the
            node does not set are passed.

    Raises:
        UserError: there is no such class or function, it lacks a package, or it does not take these arguments.
            Exceptions raised by the target itself keep their traceback.
    """
    # Not the node itself: instantiate would resolve interpolations in the nodes it refers to, in the caller's config.
    plain = to_dict(node, resolve=True) if isinstance(node, DictConfig) else node
    if not isinstance(plain, dict) or not plain.get("_target_"):
        raise UserError(f"{plain} has no _target_, which names what to call: write _target_: module.Class.")
    parameters = _parameters(plain["_target_"])
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    passed = {k: v for k, v in kwargs.items() if (takes_all or k in parameters) and k not in plain}
    for call in calls(plain):
        _check_arguments(call, passed if call is plain else {})
    try:
        return instantiate(plain, **passed, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error  # Hydra wraps the target's exception
        if explained := _explain(cause, plain):
            raise explained from cause
        raise cause from None


def reject_missing_packages(config: dict[str, Any]) -> None:
    """Raise UserError if a target's package is not installed, without importing any package.

    Args:
        config: nested mappings and lists of plain data.
    """
    for call in calls(config):
        target = call["_target_"]
        package, name = target.partition(".")[0], target.rpartition(".")[2]
        needed = [package, *([OPTIONAL[name]] if "lightning" in package and name in OPTIONAL else [])]
        for module in needed:
            if importlib.util.find_spec(module) is None:
                raise _missing_package(target, module)


def reject_incompatible(config: dict[str, Any], folder: Path) -> None:
    """Raise UserError if a run's config has a target that this version of the package lacks, without importing it.

    Args:
        config: nested mappings and lists of plain data.
        folder: the run's folder, for the error message.
    """
    for call in filter(lambda call: is_builtin(call["_target_"]), calls(config)):
        module = call["_target_"].rpartition(".")[0]
        if not (PACKAGE.parent / module.replace(".", "/")).with_suffix(".py").is_file():
            raise UserError(
                f"{folder} was written by another version of this project: it uses {call['_target_']}, which does "
                "not exist. Train it again (its command is in result.json), or open it with the version that wrote it."
            )


def calls(node: object) -> Iterator[dict[str, Any]]:
    """Yield every mapping with a `_target_`, outer ones first."""
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield node
        for value in node.values():
            yield from calls(value)
    elif isinstance(node, list):
        for value in node:
            yield from calls(value)


def _parameters(target: str) -> dict[str, inspect.Parameter]:
    """Return the parameters of a target, or `**kwargs` if it has no signature."""
    called = _locate(target)
    if not callable(called):
        raise UserError(f"_target_: {target} is a {type(called).__name__}, and only a class or function can be called.")
    try:
        return dict(inspect.signature(called).parameters)
    except ValueError:  # written in C
        return {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}


def _locate(target: str) -> object:
    """Import a target; exceptions raised by its module keep their traceback."""
    found, path = None, ""
    for name in target.split("."):
        parent, path = path, f"{path}.{name}".lstrip(".")
        if found is not None and name in dir(found):
            found = getattr(found, name)
            continue
        try:
            if not isinstance(found, ModuleType | None):
                raise ModuleNotFoundError(name=path)
            found = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:  # a package that the module imports
                raise _missing_package(target, error.name or path) from error
            if found is None:
                raise _missing_package(target, path) from error
            inside = pkgutil.iter_modules(found.__path__) if "__path__" in vars(found) else ()
            known = [other for other in (*dir(found), *(m.name for m in inside)) if not other.startswith("_")]
            near = suggest(name, known).partition(" Known:")[0]
            raise UserError(f"_target_: {target} does not exist: {parent} has no {name}.{near}") from error
    return found


def _check_arguments(call: dict[str, Any], passed: dict[str, Any]) -> None:
    """Raise UserError for arguments that the target does not take and for required ones that are missing."""
    target, parameters = call["_target_"], _parameters(call["_target_"])
    given = [key for key in call if key not in ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")]
    named = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    unknown = [name for name in given if name not in named]
    if unknown and all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
        raise UserError(f"{target} has no argument {unknown[0]}.{suggest(str(unknown[0]), named)}")
    if call.get("_partial_") or "_args_" in call:
        return
    required = [name for name in named if parameters[name].default is inspect.Parameter.empty]
    if missing := [name for name in required if name not in (*given, *passed)]:
        raise UserError(
            f"{target} needs a value for {', '.join(missing)}: add it below its _target_, or add "
            "_partial_: true to pass the function itself."
        )


def _explain(cause: BaseException, call: dict[str, Any]) -> UserError | None:
    """Return a message for an error that the user can fix, or None for an exception that needs its traceback."""
    target, text = call["_target_"], str(cause)
    if isinstance(cause, UserError):
        return None
    if isinstance(cause, ModuleNotFoundError):
        named = MISSING_PACKAGE.search(text)
        return _missing_package(target, cause.name or (next(filter(None, named.groups())) if named else text))
    unexpected = re.search(r"got an unexpected keyword argument '(\w+)'", text)
    if isinstance(cause, TypeError) and unexpected and unexpected[1] in call:
        near = suggest(unexpected[1], _parameters(target)).partition(" Known:")[0]
        return UserError(f"{target} has no argument {unexpected[1]}.{near or ' Remove it.'}")
    if NO_DEVICE.search(text):
        return UserError(f"trainer={call.get('accelerator')}: no such device was found. Remove it, or use trainer=cpu.")
    if type(cause).__name__ == "MisconfigurationException":  # raised by Lightning for errors in the user's settings
        return UserError(f"{target}: {text}")
    return None


def _missing_package(target: str, package: str) -> UserError:
    top = package.partition(".")[0]
    own = f", or put {top}.py next to train.py if it is your own file" if target.startswith(f"{package}.") else ""
    return UserError(f"{target} needs {top}, which is not installed: pip install {PIP_NAMES.get(top, top)}{own}")
