"""Checks of command-line arguments that are not of the form name=value, with a suggestion of what to write instead."""

import re
from collections.abc import Callable
from difflib import get_close_matches

from kindling import UserError
from kindling.cli import conf, suggestions
from kindling.cli.grammar import for_shell, quote_if_needed

VALUE_FLAGS = (
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--experimental-rerun", "--info", "-i"),
)
FLAGS = (
    *("--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m"),
    *("--shell-completion", "-sc", *VALUE_FLAGS),
)
OPTIONAL_GROUPS = ("logger", "schedule", "average", "debug", "experiment")  # a run works without these
TABLE = re.compile(r"\.(csv|tsv|txt|dat|data)$", re.IGNORECASE)


def check(args: list[str]) -> None:
    """Check that all arguments are Hydra flags or overrides of the form name=value.

    Raises:
        UserError: an argument is not; the message states what to write instead.
    """
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        flag, equals, _ = arg.partition("=")
        if flag in VALUE_FLAGS:
            if not equals and rest and "=" not in rest[0]:
                rest.pop(0)
        elif not (arg in FLAGS or (len(flag) > 3 and any(known.startswith(flag) for known in FLAGS))):
            _check(arg, _take_until(rest, _has_name))


def _check(arg: str, following: list[str]) -> None:
    """Check one argument; `following` are the arguments after it that have no name."""
    key, equals, value = arg.partition("=")
    try:
        arg.encode()
    except UnicodeEncodeError as error:
        escaped = arg.encode(errors="backslashreplace").decode()
        raise UserError(f"{escaped} cannot be decoded in this locale: set PYTHONUTF8=1 in the environment.") from error
    if not arg.strip():
        raise UserError("One of the arguments is empty, perhaps from an unset shell variable: remove it.")
    if arg.startswith("-"):
        raise UserError(_explain_flag(arg, following))
    if arg.startswith("~") and key[1:] in conf.options() and key[1:] not in OPTIONAL_GROUPS:
        raise UserError(f"{arg}: a run needs {key[1:]}. Remove {arg} to use the default.")
    if key == "folder":
        raise UserError(f"{arg} would only move a part of a run's files: choose its folder with hydra.run.dir={value}.")
    if not equals and not arg.startswith("~"):
        raise UserError(_explain_unnamed(arg, following))
    if equals and not key.strip("+~ "):
        raise UserError(f"{arg} has no name before the =: write name=value, e.g. epochs={value or 10}.")
    if key != key.strip():
        raise UserError(_explain_spaces([arg], f"{key.strip()}={value.strip()}"))
    if equals and not value and not following:
        raise UserError(f"{arg} has no value: write one after the =, or remove {key}.")
    if following and (not value or value.endswith(",") or _has_open_bracket(value)):
        raise UserError(_explain_spaces([arg, *following], arg + "".join(following)))


def _explain_flag(arg: str, following: list[str]) -> str:
    """Return the error message for an argument that starts with a dash."""
    name, equals, value = arg.lstrip("-").partition("=")
    if re.fullmatch(r"[\d.]+(e-?\d+)?", name):
        return _explain_unnamed(arg, following, is_number=True)
    near = get_close_matches(arg, FLAGS, 1, 0.75)
    key = _option_for(name)
    if near and not key:
        return f"{arg} is unknown. Did you mean {near[0]}?"
    value = value if equals else following[0] if following else "..."
    suggestion = "-m" if name in ("multi", "sweep") else for_shell(_pair(key or name.replace("-", "_"), value))
    return f"{arg} is not a flag: options are written without dashes and with =, here  {suggestion}"


def _explain_unnamed(arg: str, following: list[str], is_number: bool = False) -> str:
    """Return the error message for an argument without =."""
    first = following[0] if following else ""
    name, colon, value = arg.partition(":")
    if TABLE.search(arg):
        return f"{arg} has no option name: for a table, write  data=csv {for_shell(quote_if_needed('data.path', arg))}"
    if arg[0] in "[({":
        joined = "".join([arg, *following]).replace(" ", "")
        return f"{joined} has no option name: write name=value without spaces, e.g.  hidden_sizes={joined}"
    if first == "=" and len(following) > 1:
        return _explain_spaces([arg, *following[:2]], f"{arg}={following[1]}")
    if first.startswith("="):
        return _explain_spaces([arg, first], arg + first)
    if colon and (key := _option_for(name)):
        suggestion = for_shell(_pair(key, value.strip() or first or "..."))
        return f"{arg} cannot be parsed: options are written with =, here  {suggestion}"
    groups = [group for group in conf.groups() if arg in conf.choices(group)]
    if groups and not is_number:
        return f"{arg} has no option name. Did you mean  {groups[0]}={arg}?"
    key = _option_for(arg) or (arg if first and arg.isidentifier() else None)
    if key and not is_number:
        parts = following[1:] if _has_open_bracket(first) else []
        return _explain_spaces([arg, *following[:1], *parts], _pair(key, "".join([first, *parts]) or "..."))
    return f"{arg} has no option name: options are written as name=value, e.g.  epochs=10"


def _explain_spaces(given: list[str], suggestion: str) -> str:
    return f"{' '.join(given)} cannot be parsed: write name=value without spaces, here  {for_shell(suggestion)}"


def _pair(key: str, value: str) -> str:
    return key if "=" in key else f"{key}={value}"


def _option_for(name: str) -> str | None:
    name = name.lower().replace("-", "_")
    return name if name in conf.options() else suggestions.canonical_name(name)


def _has_name(arg: str) -> bool:
    return "=" in arg[1:] or arg in FLAGS or arg.startswith(("~", "--"))


def _has_open_bracket(value: str) -> bool:
    return sum(map(value.count, "[({")) > sum(map(value.count, "])}"))


def _take_until(args: list[str], condition: Callable[[str], bool]) -> list[str]:
    taken = []
    for arg in args:
        if condition(arg):
            break
        taken.append(arg)
    return taken


def parse(args: list[str], usage: str) -> dict[str, str]:
    """Parse the arguments of a `python -m kindling` command.

    Args:
        args: arguments of the form name=value; one without a name is the value of the first name.
        usage: e.g. "run=<run folder> [trust=true]"; names in brackets are optional.

    Returns:
        name -> value.

    Raises:
        UserError: an argument is missing, unknown or empty.
    """
    names = re.findall(r"(\[?)(\w+)=", usage)
    pairs = [arg.split("=", 1) if "=" in arg else [names[0][1], arg] for arg in args]
    parsed, required = dict(pairs), {name for bracket, name in names if not bracket}
    fits = required <= parsed.keys() <= {name for _, name in names} and len(parsed) == len(args)
    if not fits or not all(parsed.values()) or parsed.get("trust", "true") not in ("true", "false"):
        raise UserError(f"Invalid arguments: got {' '.join(args) or 'none'}, expected {usage}")
    return parsed
