"""Checks of what was typed, before torch is imported: values of the everyday knobs, and knobs that nothing reads."""

import re
from collections.abc import Callable
from difflib import get_close_matches

import yaml

from kindling import UserError
from kindling.activations import canonical
from kindling.cli.conf import OF_A_RUN, OF_A_SWEEP, choice_file, groups, is_own, names_in
from kindling.cli.suggestions import suggest
from kindling.files import find


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


PRECISIONS = ("16", "bf16", "32", "64", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "32-true", "64-true")
# knob -> what it must be, and the test of it
RULES: dict[str, tuple[str, Callable]] = {
    "seed": ("a whole number from 0 to 4294967295", lambda v: _whole(v, 0) and v < 2**32),
    "epochs": ("a whole number from 1", lambda v: _whole(v, 1)),
    "batch_size": ("a whole number from 1, or full", lambda v: v == "full" or _whole(v, 1)),
    "depth": ("a whole number from 1; depth 0 is model=linear", lambda v: _whole(v, 1)),
    "width": ("a whole number from 1", lambda v: _whole(v, 1)),
    "hidden_sizes": (
        "a list of whole numbers from 1, e.g. [6,4], or [] for no such layer",
        lambda v: v is None or (isinstance(v, list) and all(_whole(size, 1) for size in v)),
    ),
    "degree": ("a whole number from 1", lambda v: _whole(v, 1)),
    "dropout": ("a number from 0 to under 1", lambda v: _number(v) and 0 <= v < 1),
    "label_smoothing": ("a number from 0 to under 1", lambda v: _number(v) and 0 <= v < 1),
    "lr": ("a number from 0", lambda v: _number(v) and v >= 0),
    "weight_decay": ("a number from 0", lambda v: _number(v) and v >= 0),
    "l1": ("a number from 0", lambda v: _number(v) and v >= 0),
    "clip": ("a number above 0, or null", lambda v: v is None or (_number(v) and v > 0)),
    "max_steps": ("a whole number from 1, or -1 for no limit", lambda v: v == -1 or _whole(v, 1)),
    "precision": (
        f"null or one of {', '.join(PRECISIONS)}",
        lambda v: v is None or str(v) in PRECISIONS,
    ),
    "batch_norm": ("true or false", lambda v: isinstance(v, bool)),
    "compile": ("true or false", lambda v: isinstance(v, bool)),
    "patience": ("a whole number of validations from 1, or null", lambda v: v is None or _whole(v, 1)),
    "steps_per_execution": ("auto, or a whole number of mini-batches from 1", lambda v: v == "auto" or _whole(v, 1)),
    "test": ("true, false or auto", lambda v: v == "auto" or isinstance(v, bool)),
    "repeat": ("a whole number from 1", lambda v: _whole(v, 1)),
    "folds": ("a whole number from 2, or null", lambda v: v is None or _whole(v, 2)),
    "verbose": ("true or false", lambda v: isinstance(v, bool)),
    "trust": ("true or false", lambda v: isinstance(v, bool)),
}
CHOICES = {
    "features": ["none", "radius", "product", "polynomial"],
    "scale": ["standard", "minmax", "none"],
    "mode": ["min", "max", "auto"],
    "on_error": ["continue", "stop"],
    "pictures": ["none", "final", "series"],
}
# option, values beside the names in a table, and the file that has the table
NAMED = [
    ("loss", ["auto"], ("tasks/losses.py", "LOSSES")),
    ("init", ["default"], ("callbacks/weight_init.py", "SCHEMES")),
]
# Options that a model of ours reads for the layers of hidden_sizes alone.
OF_HIDDEN_LAYERS = {
    **dict.fromkeys(("Deep", "WideDeep"), ("activation", "dropout", "batch_norm")),
    "CNN": ("dropout",),
}
READ_BY_TRAIN = {"seed", "patience", "on_error", *OF_A_RUN}


def check(options: dict) -> None:
    """Refuse values that cannot work.

    Args:
        knobs: the top level of the composed config, as plain data.

    Raises:
        UserError: with the value, what it must be, and the nearest choice.
    """
    if "activation" in options:
        canonical(options["activation"])
    for name, choices in CHOICES.items():
        if name in options and options[name] not in choices:
            near = get_close_matches(str(options[name]), choices, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(choices)}."
            raise UserError(f"{name}={options[name]} is unknown. {hint}")
    for name, (wanted, fits) in RULES.items():
        if name in options and not fits(options[name]):
            raise UserError(f"{name}={options[name]} cannot be: {name} must be {wanted}.")
    for name, others, (file, table) in NAMED:
        value = options.get(name, others[0])  # a call, e.g. loss={_target_: torch.nn.HuberLoss}, is no name
        if isinstance(value, str) and value not in others and not value.endswith(".json"):
            known = [*others, *names_in(file, table)]
            if value not in known:
                call = f" For a class or function of your own write '{name}={{_target_: {value}}}'." * ("." in value)
                raise UserError(f"{name}={value} is unknown.{suggest(value, known)}{call}")


def check_files(config: dict) -> None:
    """Refuse a file that is not there.

    Args:
        config: the composed config, as plain data.

    Raises:
        UserError: with the option that names it.
    """
    data = config.get("data") or {}
    named = {f"data.{key}": data.get(key) for key in ("path", "test_path")} if is_own(data.get("_target_")) else {}
    named["init"] = config.get("init") if str(config.get("init")).endswith(".json") else None
    for option, path in named.items():
        if path is not None:
            find(str(path), option)


def refuse_sweep_options(overrides: list[str]) -> None:
    """Refuse an option that only a sweep reads.

    Raises:
        UserError: with -m.
    """
    for override in overrides:
        name, _, value = override.lstrip("+").partition("=")
        if name in OF_A_SWEEP and value.lower() != OF_A_SWEEP[name]:
            raise UserError(f"{override} is of a sweep: put -m in front (train.py -m {override} ...), or leave it out.")


def notes(typed: dict[str, str], config: dict, read: set[str], choices: dict[str, str]) -> list[str]:
    """Return a line for every option that was given and does nothing, and every value that outlives its group.

    Args:
        typed: the overrides, key -> value.
        config: the composed config, as plain data, interpolations resolved.
        read: the top-level keys that reach something that is built.
        choices: group -> the choice that was composed.
    """
    raw, node = config, config.get("model") or {}
    model = node.get("_target_", "")
    rates = [raw.get("lr") if "lr" in read else None, (raw.get("optimizer") or {}).get("lr")]
    lines = ["note: lr=0, so no weight will move"] if 0 in rates and "optimizer" in read else []
    sizes = node.get("hidden_sizes") if is_own(model) else None
    for name in (name for name in typed if name in raw and name not in READ_BY_TRAIN):
        if (isinstance(raw[name], dict) or name in groups()) and name != "optimizer":
            continue
        why = None
        if name not in read:
            why = f" here, nothing in this run reads it ({model})"
        elif name == "degree" and (raw.get("data") or {}).get("features") != "polynomial":
            why = ", it is of features=polynomial"
        elif sizes is not None and name in ("depth", "width"):
            why = ", hidden_sizes replaces depth and width"
        elif sizes == [] and name in OF_HIDDEN_LAYERS.get(model.rpartition(".")[2], ()):
            why = ", hidden_sizes=[] leaves no hidden layer"
        lines += [f"note: {name}={typed[name]} has no effect{why}"] if why else []
    return lines + _outlived(typed, raw, choices)


def _outlived(typed: dict[str, str], raw: dict, choices: dict[str, str]) -> list[str]:
    """Return a line for every value of a typed choice that another file has replaced, and which file that is."""
    lines = []
    debug = _set_by("debug", typed.get("debug"))
    for group, choice in typed.items():
        if group in ("experiment", "debug"):
            continue
        for key, value in _set_by(group, choice).items():
            if key in raw and key not in typed and key not in debug and raw[key] != value:
                setters = [other for other, name in choices.items() if _set_by(other, name).get(key) == raw[key]]
                inherited = [other for other in ("experiment",) if choices.get(other)]  # by its own defaults
                owner = next((other for other in (*reversed(setters), *inherited) if other != group), None)
                if owner:
                    lines.append(
                        f"note: {key}={raw[key]} is that of {owner}={choices[owner]}; {group}={choice} alone would "
                        f"bring {key}={value}"
                    )
    return lines


def _set_by(group: str, choice: str | None) -> dict:
    """Return the plain values that a choice sets at the top of the config, not in a node of its own."""
    file = choice_file(group, choice)
    text = file.read_text(encoding="utf-8") if file else ""
    if not re.search(r"^# *@package +_global_", text, re.MULTILINE):
        return {}
    content = yaml.safe_load(text) or {}
    return {k: v for k, v in content.items() if not isinstance(v, dict | list) and "$" not in str(v)}
