"""Checks of option values before torch is imported, and notes on options that have no effect."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import yaml

from kindling import UserError
from kindling.activations import canonical
from kindling.cli.conf import RUN_OPTIONS, SWEEP_OPTIONS, choice_file, dict_keys, groups, is_builtin
from kindling.cli.quantiles import check_quantiles
from kindling.cli.suggestions import suggest
from kindling.files import find


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_int(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _is_below_one(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1


BELOW_ONE = "a number from 0 up to but not including 1"
PRECISIONS = ("16", "bf16", "32", "64", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "32-true", "64-true")
# option -> description of valid values, and a predicate
RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "seed": ("an integer from 0 to 4294967295", lambda v: _is_int(v, 0) and v < 2**32),
    **dict.fromkeys(("epochs", "degree", "repeat"), ("a positive integer", lambda v: _is_int(v, 1))),
    "batch_size": ("a positive integer, or full", lambda v: v == "full" or _is_int(v, 1)),
    "depth": ("a positive integer; for depth 0 use model=linear", lambda v: _is_int(v, 1)),
    "width": ("a positive integer", lambda v: _is_int(v, 1)),
    "hidden_sizes": (
        "a list of positive integers, e.g. [6,4], or [] for no hidden layer",
        lambda v: v is None or (isinstance(v, list) and all(_is_int(size, 1) for size in v)),
    ),
    "label_smoothing": (BELOW_ONE, lambda v: v is None or _is_below_one(v)),
    **dict.fromkeys(("dropout", "beta2"), (BELOW_ONE, _is_below_one)),
    "lr_factors": (
        "a mapping of names of parameters to positive numbers, e.g. {*.bias: 0.1}, or null",
        lambda v: v is None or (isinstance(v, dict) and all(_is_number(f) and f > 0 for f in v.values())),
    ),
    **dict.fromkeys(("lr", "weight_decay", "l1"), ("a number of at least 0", lambda v: _is_number(v) and v >= 0)),
    **dict.fromkeys(
        ("batch_norm", "calibrate", "compile", "drop_last", "verbose", "trust"),
        ("true or false", lambda v: isinstance(v, bool)),
    ),
    "clip": ("a positive number, or null", lambda v: v is None or (_is_number(v) and v > 0)),
    "max_steps": ("a positive integer, or -1 for no limit", lambda v: v == -1 or _is_int(v, 1)),
    "precision": (f"null or one of {', '.join(PRECISIONS)}", lambda v: v is None or str(v) in PRECISIONS),
    "patience": ("a positive integer (validations), or null", lambda v: v is None or _is_int(v, 1)),
    "steps_per_execution": ("auto, or a positive integer (mini-batches)", lambda v: v == "auto" or _is_int(v, 1)),
    "test": ("true, false or auto", lambda v: v == "auto" or isinstance(v, bool)),
    "folds": ("an integer of at least 2, or null", lambda v: v is None or _is_int(v, 2)),
}
CHOICES = {
    "features": ["none", "radius", "product", "polynomial"],
    "scale": ["standard", "minmax", "robust", "none"],
    "mode": ["min", "max", "auto"],
    "on_error": ["continue", "stop"],
    "pictures": ["none", "final", "series"],
}
# option, special values, and the file and the variable of the dict whose keys are the other values
NAMED = [
    ("loss", ["auto"], ("tasks/losses.py", "LOSSES")),
    ("init", ["default"], ("callbacks/weight_init.py", "SCHEMES")),
]
# Built-in model -> options that it reads only for the layers of hidden_sizes.
HIDDEN_LAYER_OPTIONS = {
    **dict.fromkeys(("Deep", "WideDeep"), ("activation", "dropout", "batch_norm")),
    "CNN": ("dropout",),
    "RealMLP": ("activation",),
}
READ_BY_TRAIN = {"seed", "patience", "on_error", *RUN_OPTIONS}


def check(options: dict[str, Any]) -> None:
    """Check the values of the options.

    Args:
        options: the top level of the composed config, as plain data.

    Raises:
        UserError: a value is invalid; the message describes valid values or has the nearest choice.
    """
    if options.get("activation") is not None:  # null: the model has a default of its own
        canonical(options["activation"])
    for name, choices in CHOICES.items():
        if name in options and options[name] not in choices:
            near = get_close_matches(str(options[name]), choices, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(choices)}."
            raise UserError(f"{name}={options[name]} is unknown. {hint}")
    for name, (valid, is_valid) in RULES.items():
        if name in options and not is_valid(options[name]):
            raise UserError(f"{name}={options[name]} is invalid: {name} must be {valid}.")
    check_quantiles(options.get("quantiles"), options.get("loss"))
    for name, special, (file, variable) in NAMED:
        value = options.get(name, special[0])  # or a node such as {_target_: torch.nn.HuberLoss}
        if isinstance(value, str) and value not in special and not value.endswith(".json"):
            known = [*special, *dict_keys(file, variable)]
            if value not in known:
                hint = f" To use your own class or function, write '{name}={{_target_: {value}}}'." * ("." in value)
                raise UserError(f"{name}={value} is unknown.{suggest(value, known)}{hint}")


def check_files(config: dict[str, Any]) -> None:
    """Check that the files that options name exist.

    Args:
        config: the composed config, as plain data.

    Raises:
        UserError: a file does not exist; the message has the option that names it.
    """
    data = config.get("data") or {}
    named = {f"data.{key}": data.get(key) for key in ("path", "test_path")} if is_builtin(data.get("_target_")) else {}
    named["init"] = config.get("init") if str(config.get("init")).endswith(".json") else None
    for option, path in named.items():
        if path is not None:
            find(str(path), option)


def reject_sweep_options(overrides: list[str]) -> None:
    """Check that no override sets an option that only sweeps read.

    Raises:
        UserError: one does.
    """
    for override in overrides:
        name, _, value = override.lstrip("+").partition("=")
        if name in SWEEP_OPTIONS and value.lower() != SWEEP_OPTIONS[name]:
            raise UserError(
                f"{override} only applies to sweeps: put -m in front (train.py -m {override} ...), or remove it."
            )


def notes(given: dict[str, str], config: dict[str, Any], read: set[str], choices: dict[str, str]) -> list[str]:
    """Return a line for every override that has no effect, and for every value of a choice that is replaced.

    Args:
        given: the overrides, key -> value.
        config: the composed config as plain data, with resolved interpolations.
        read: the top-level keys whose values reach something that is instantiated.
        choices: group -> choice in the composed config.
    """
    node = config.get("model") or {}
    model = node.get("_target_", "")
    rates = [config.get("lr") if "lr" in read else None, (config.get("optimizer") or {}).get("lr")]
    lines = ["note: lr=0, so the weights will not change"] if 0 in rates and "optimizer" in read else []
    sizes = node.get("hidden_sizes") if is_builtin(model) else None
    for name in (name for name in given if name in config and name not in READ_BY_TRAIN):
        if (isinstance(config[name], dict) or name in groups()) and name != "optimizer":
            continue
        why = None
        if name not in read:
            why = f"nothing in this run reads it ({model})"
        elif name == "degree" and (config.get("data") or {}).get("features") != "polynomial":
            why = "it only applies to features=polynomial"
        elif sizes is not None and name in ("depth", "width"):
            why = "hidden_sizes overrides depth and width"
        elif sizes == [] and name in HIDDEN_LAYER_OPTIONS.get(model.rpartition(".")[2], ()):
            why = "hidden_sizes=[] means no hidden layers"
        lines += [f"note: {name}={given[name]} has no effect: {why}"] if why else []
    return lines + _replaced_values(given, config, choices)


def _replaced_values(given: dict[str, str], config: dict[str, Any], choices: dict[str, str]) -> list[str]:
    """Return a line for every value of a given choice that the file of another choice replaces."""
    lines = []
    debug = _set_by("debug", given.get("debug"))
    for group, choice in given.items():
        if group in ("experiment", "debug"):
            continue
        for key, value in _set_by(group, choice).items():
            if key in config and key not in given and key not in debug and config[key] != value:
                setters = [other for other, name in choices.items() if _set_by(other, name).get(key) == config[key]]
                inherited = [other for other in ("experiment",) if choices.get(other)]  # through its defaults list
                owner = next((other for other in (*reversed(setters), *inherited) if other != group), None)
                if owner:
                    lines.append(
                        f"note: {key}={config[key]} comes from {owner}={choices[owner]}; {group}={choice} alone "
                        f"would set {key}={value}"
                    )
    return lines


def _set_by(group: str, choice: str | None) -> dict[str, Any]:
    """Return the plain values that a choice sets at the top level of the config."""
    file = choice_file(group, choice)
    text = file.read_text(encoding="utf-8") if file else ""
    if not re.search(r"^# *@package +_global_", text, re.MULTILINE):
        return {}
    content = yaml.safe_load(text) or {}
    return {k: v for k, v in content.items() if not isinstance(v, dict | list) and "$" not in str(v)}
