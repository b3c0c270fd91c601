"""Resolve columns given as options to names in the header, including names that YAML parses as other types."""

import re
import shlex
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

import yaml

from kindling import UserError

LITERALS: dict[bool | None, str] = {None: "null", True: "true", False: "false"}


def as_list(given: Any) -> list[Any]:
    """Return the value of an option as a list; None is empty, and a single value has length 1."""
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def resolve(given: Any, option: str, header: list[str], path: str) -> list[str]:
    """Return the names in the header for a given column or list of columns.

    Hydra and YAML parse `2020`, `007`, `1.50`, `true` and `null` as numbers, booleans and None; these match the column
    whose name would be parsed as the same value.

    Args:
        given: the value of the option.
        option: its name, for error messages.
        header: the names of the columns.
        path: the path of the CSV, for error messages.

    Raises:
        UserError: the header has no such name or several, or a column is given twice.
    """
    items = list(given) if isinstance(given, list | tuple) else [given]
    names = [_resolve_one(item, option, header, path=path) for item in items]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise UserError(f"{option} names the column {twice[0]!r} twice: give it once.")
    return names


def as_strings(given: Iterable[Any], option: str) -> list[str]:
    """Return freely chosen names as strings.

    Raises:
        UserError: YAML has parsed one as a boolean or None, so that its spelling is lost.
    """
    for item in given:
        if item is None or isinstance(item, bool):
            raise UserError(
                f'{option} has {LITERALS[item]}, which is a YAML value and not a name: quote it, e.g. "yes".'
            )
    return [str(item) for item in given]


def as_option(option: str, text: str) -> str:
    """Return `option=[text]`, quoted for the shell and Hydra if necessary."""
    if re.fullmatch(r"[A-Za-z_][\w./+-]*", text, re.ASCII) and yaml.safe_load(text) == text:
        return f"{option}=[{text}]"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'{option}=["{escaped}"]')


def as_kind(name: str, kind: str) -> str:
    """Return `data.kinds={name: kind}`, quoted for the shell and Hydra."""
    plain = re.fullmatch(r"[A-Za-z_][\w./+-]*", name, re.ASCII) and yaml.safe_load(name) == name
    key = name if plain else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return shlex.quote(f"data.kinds={{{key}: {kind}}}")


def parses_as(name: str, value: Any) -> bool:
    """Return whether Python or YAML parses the string `name` as `value`, with the same type."""
    parsers: tuple[Callable[[str], Any], ...] = (int, float)
    for parse in parsers if "#" in name else (*parsers, yaml.safe_load):  # in YAML # starts a comment
        try:
            found = parse(name)
        except (ValueError, yaml.YAMLError):
            continue
        if type(found) is type(value) and (found == value or (found != found and value != value)):
            return True
    return False


def listed(names: Iterable[Any]) -> str:
    """Return the first names as a list for a message."""
    names = [str(name) for name in names]
    return ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")


def _resolve_one(item: Any, option: str, header: list[str], path: str) -> str:
    if isinstance(item, str):
        found = [name for name in header if name == item.strip()]
    elif item is None or isinstance(item, bool | int | float):
        found = [name for name in header if parses_as(name, item)]
    else:
        raise UserError(f"{option}={item} is not a column: give a name or a list of names.")
    text = LITERALS[item] if item is None or isinstance(item, bool) else str(item).strip()
    if len(found) > 1:
        raise UserError(
            f"{option}={text} could be {' or '.join(map(repr, found))}: quote the name, '{option}=\"...\"'."
        )
    if not found:
        near = get_close_matches(text, header, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(f"{path} has no column {text!r}; its columns: {listed(header)}.{hint}")
    return found[0]
