"""Make the calls that the config describes, and refuse those that cannot be made."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.cli.conf import is_own
from kindling.cli.suggestions import suggest
from kindling.files import PACKAGE

# Classes of Lightning that need a package which is not installed with it.
OPTIONAL = {
    **{"RichProgressBar": "rich", "RichModelSummary": "rich", "MLFlowLogger": "mlflow", "WandbLogger": "wandb"},
    **{"CometLogger": "comet_ml", "NeptuneLogger": "neptune"},
}
PIP_NAMES = {"comet_ml": "comet-ml", "sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python"}
NO_DEVICE = re.compile(r"No supported gpu backend found|accelerator is not available")
MISSING_PACKAGE = re.compile(r"pip install (?:-U )?['\"`]*([\w-]+)|No module named '(\w+)|requires `?(\w+)")


def build(node: DictConfig, **offers):
    """Call what `node` describes, with those of `offers` that it names (all of them if it takes `**kwargs`).

    Raises:
        UserError: there is no such class or function, it lacks a package, or it does not take these arguments. An
            exception in its own code keeps its traceback.
    """
    # Not the node itself: instantiate resolves the interpolations in what the node refers to, in the caller's config.
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if not isinstance(plain, dict) or not plain.get("_target_"):
        raise UserError(f"{plain} has no _target_, which says what to call: write _target_: module.Class.")
    parameters = _parameters(plain["_target_"])
    everything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    chosen = {k: v for k, v in offers.items() if (everything or k in parameters) and k not in plain}
    for call in _calls(plain):
        _check_arguments(call, chosen if call is plain else {})
    try:
        return instantiate(plain, **chosen, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error  # Hydra hides it behind the target's name
        if explained := _explained(cause, plain):
            raise explained from cause
        raise cause from None


def refuse_missing_packages(config: dict) -> None:
    """Refuse a call of a package that is not installed, without importing any.

    Args:
        config: plain data, mappings and lists in each other.
    """
    for call in _calls(config):
        target = call["_target_"]
        package, name = target.partition(".")[0], target.rpartition(".")[2]
        needed = [package, *([OPTIONAL[name]] if "lightning" in package and name in OPTIONAL else [])]
        for module in needed:
            if importlib.util.find_spec(module) is None:
                raise _lacking(target, module)


def refuse_older(config: dict, folder: Path) -> None:
    """Refuse a run folder whose config calls what the package does not have, without importing any of it.

    Args:
        config: plain data, mappings and lists in each other.
    """
    for call in filter(lambda call: is_own(call["_target_"]), _calls(config)):
        module = call["_target_"].rpartition(".")[0]
        if not (PACKAGE.parent / module.replace(".", "/")).with_suffix(".py").is_file():
            raise UserError(
                f"{folder} is of another version of this project: it calls {call['_target_']}, which is not there. "
                "Train it again (its command is in result.json), or open it with the version that trained it."
            )


def _calls(node) -> Iterator[dict]:
    """Yield every mapping with a `_target_`, the outer ones first."""
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield node
        for value in node.values():
            yield from _calls(value)
    elif isinstance(node, list):
        for value in node:
            yield from _calls(value)


def _parameters(target: str) -> dict[str, inspect.Parameter]:
    """Return the parameters of a target; one that takes everything where Python does not know them."""
    called = _located(target)
    if not callable(called):
        raise UserError(f"_target_: {target} is a {type(called).__name__}, and only a class or function can be called.")
    try:
        return dict(inspect.signature(called).parameters)
    except ValueError:  # written in C
        return {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}


def _located(target: str):
    """Import a target; an exception in its module's own code keeps its traceback."""
    names = target.split(".")
    found, path = None, ""
    for name in names:
        above, path = path, f"{path}.{name}".lstrip(".")
        if found is not None and name in dir(found):
            found = getattr(found, name)
            continue
        try:
            if not isinstance(found, ModuleType | None):
                raise ModuleNotFoundError(name=path)
            found = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:  # a package that the module imports
                raise _lacking(target, error.name) from error
            if found is None:
                raise _lacking(target, path) from error
            inside = pkgutil.iter_modules(found.__path__) if "__path__" in vars(found) else ()
            known = [other for other in (*dir(found), *(m.name for m in inside)) if not other.startswith("_")]
            near = suggest(name, known).partition(" Known:")[0]
            raise UserError(f"_target_: {target} does not exist: {above} has no {name}.{near}") from error
    return found


def _check_arguments(call: dict, offers: dict) -> None:
    """Refuse arguments that the target does not take, and a call without one that it needs."""
    target, parameters = call["_target_"], _parameters(call["_target_"])
    given = [key for key in call if key not in ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")]
    named = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    unknown = [name for name in given if name not in named]
    if unknown and all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
        raise UserError(f"{target} has no argument {unknown[0]}.{suggest(str(unknown[0]), named)}")
    if call.get("_partial_") or "_args_" in call:
        return
    needed = [name for name in named if parameters[name].default is inspect.Parameter.empty]
    if lacking := [name for name in needed if name not in (*given, *offers)]:
        raise UserError(
            f"{target} needs a value for {', '.join(lacking)}: add it below its _target_, or "
            "_partial_: true to pass the function itself."
        )


def _explained(cause: BaseException, call: dict) -> UserError | None:
    """Return the sentence for what a user can mend, or None for an exception that needs its traceback."""
    target, text = call["_target_"], str(cause)
    if isinstance(cause, UserError):
        return None
    if isinstance(cause, ModuleNotFoundError):
        named = MISSING_PACKAGE.search(text)
        return _lacking(target, cause.name or (next(filter(None, named.groups())) if named else text))
    unexpected = re.search(r"got an unexpected keyword argument '(\w+)'", text)
    if isinstance(cause, TypeError) and unexpected and unexpected[1] in call:
        near = suggest(unexpected[1], _parameters(target)).partition(" Known:")[0]
        return UserError(f"{target} has no argument {unexpected[1]}.{near or ' Leave it out.'}")
    if NO_DEVICE.search(text):
        return UserError(f"trainer={call.get('accelerator')}: there is none here. Leave it out, or take trainer=cpu.")
    if type(cause).__name__ == "MisconfigurationException":  # Lightning's word for what a user can mend
        return UserError(f"{target}: {text}")
    return None


def _lacking(target: str, package: str) -> UserError:
    top = package.partition(".")[0]
    own = f", or put {top}.py next to train.py if it is a file of yours" if target.startswith(f"{package}.") else ""
    return UserError(f"{target} needs {top}, which is not installed: pip install {PIP_NAMES.get(top, top)}{own}")
