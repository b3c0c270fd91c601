"""The arguments of the command line: which are not of the form name=value, and what to type in their place."""

import re
from collections.abc import Callable
from difflib import get_close_matches

from kindling import UserError
from kindling.cli import conf
from kindling.cli import suggestions as names
from kindling.cli.grammar import for_shell, readable

VALUE_FLAGS = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
VALUE_FLAGS += ("--experimental-rerun", "--info", "-i")
FLAGS = ("--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m")
FLAGS += ("--shell-completion", "-sc", *VALUE_FLAGS)
LEAVABLE = ("logger", "schedule", "average", "debug", "experiment")  # groups without which a run works
TABLE = re.compile(r"\.(csv|tsv|txt|dat|data)$", re.IGNORECASE)


def check(arguments: list[str]) -> None:
    """Refuse what Hydra's grammar has no sentence for.

    Raises:
        UserError: with what to type.
    """
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        flag, equals, _ = argument.partition("=")
        if flag in VALUE_FLAGS:
            if not equals and rest and "=" not in rest[0]:
                rest.pop(0)
        elif not (argument in FLAGS or (len(flag) > 3 and any(known.startswith(flag) for known in FLAGS))):
            _check(argument, _until(rest, _has_name))


def _check(argument: str, following: list[str]) -> None:
    """Refuse an argument; `following` are the ones behind it that have no name of their own."""
    key, equals, value = argument.partition("=")
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        shown = argument.encode(errors="backslashreplace").decode()
        raise UserError(f"{shown} is no text in this locale: set PYTHONUTF8=1 in the environment.") from error
    if not argument.strip():
        raise UserError("One of the arguments is empty, as of a shell variable that is not set: leave it out.")
    if argument.startswith("-"):
        raise UserError(_flag(argument, following))
    if argument.startswith("~") and key[1:] in conf.options() and key[1:] not in LEAVABLE:
        raise UserError(f"{argument}: a run needs {key[1:]}. For its default leave {argument} out.")
    if not equals and not argument.startswith("~"):
        raise UserError(_bare(argument, following))
    if equals and not key.strip("+~ "):
        raise UserError(f"{argument} has no name before the =: write name=value, e.g. epochs={value or 10}.")
    if key != key.strip():
        raise UserError(_without_spaces([argument], f"{key.strip()}={value.strip()}"))
    if equals and not value and not following:
        raise UserError(f"{argument} has no value: write one behind the =, or leave {key} out.")
    if following and (not value or value.endswith(",") or _is_open(value)):
        raise UserError(_without_spaces([argument, *following], argument + "".join(following)))


def _flag(argument: str, following: list[str]) -> str:
    name, equals, value = argument.lstrip("-").partition("=")
    if re.fullmatch(r"[\d.]+(e-?\d+)?", name):
        return _bare(argument, following, number=True)
    near = get_close_matches(argument, FLAGS, 1, 0.75)
    key = _known(name)
    if near and not key:
        return f"{argument} is unknown. Did you mean {near[0]}?"
    value = value if equals else following[0] if following else "..."
    write = "-m" if name in ("multi", "sweep") else for_shell(_pair(key or name.replace("-", "_"), value))
    return f"{argument} is no flag: options are written without dashes and with =, here  {write}"


def _bare(argument: str, following: list[str], number: bool = False) -> str:
    """Return the sentence for an argument without =."""
    first = following[0] if following else ""
    name, colon, value = argument.partition(":")
    if TABLE.search(argument):
        return f"{argument} has no name: for a table write  data=csv {for_shell(readable('data.path', argument))}"
    if argument[0] in "[({":
        whole = "".join([argument, *following]).replace(" ", "")
        return f"{whole} has no name: write name=value, without spaces, e.g.  hidden_sizes={whole}"
    if first == "=" and len(following) > 1:
        return _without_spaces([argument, *following[:2]], f"{argument}={following[1]}")
    if first.startswith("="):
        return _without_spaces([argument, first], argument + first)
    if colon and (key := _known(name)):
        write = for_shell(_pair(key, value.strip() or first or "..."))
        return f"{argument} is not understood: options are written with =, here  {write}"
    found = [group for group in conf.groups() if argument in conf.choices(group)]
    if found and not number:
        return f"{argument} has no name. Did you mean  {found[0]}={argument}?"
    key = _known(argument) or (argument if first and argument.isidentifier() else None)
    if key and not number:
        parts = following[1:] if _is_open(first) else []
        return _without_spaces([argument, *following[:1], *parts], _pair(key, "".join([first, *parts]) or "..."))
    return f"{argument} has no name: options are written name=value, e.g.  epochs=10"


def _without_spaces(typed: list[str], write: str) -> str:
    return f"{' '.join(typed)} is not understood: write name=value, without spaces, here  {for_shell(write)}"


def _pair(key: str, value: str) -> str:
    return key if "=" in key else f"{key}={value}"


def _known(name: str) -> str | None:
    name = name.lower().replace("-", "_")
    return name if name in conf.options() else names.own_name(name)


def _has_name(argument: str) -> bool:
    return "=" in argument[1:] or argument in FLAGS or argument.startswith(("~", "--"))


def _is_open(value: str) -> bool:
    return sum(map(value.count, "[({")) > sum(map(value.count, "])}"))


def _until(arguments: list[str], ends: Callable[[str], bool]) -> list[str]:
    found = []
    for argument in arguments:
        if ends(argument):
            break
        found.append(argument)
    return found


def parse(words: list[str], usage: str) -> dict[str, str]:
    """Return name -> value of a command's arguments; a bare word is the value of the first name.

    Args:
        usage: e.g. "run=<run folder> [trust=true]"; names in brackets may be left out.

    Raises:
        UserError: an argument is missing, unknown or empty.
    """
    known = re.findall(r"(\[?)(\w+)=", usage)
    pairs = [word.split("=", 1) if "=" in word else [known[0][1], word] for word in words]
    given, needed = dict(pairs), {name for bracket, name in known if not bracket}
    fits = needed <= given.keys() <= {name for _, name in known} and len(given) == len(words)
    if not fits or not all(given.values()) or given.get("trust", "true") not in ("true", "false"):
        raise UserError(f"{' '.join(words) or 'nothing'} was typed, wanted is: {usage}")
    return given
