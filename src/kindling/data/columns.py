"""Match what was given for a column with the header, whose names are text whatever YAML makes of them."""

import re
import shlex
from collections.abc import Iterable
from difflib import get_close_matches

import yaml

from kindling import UserError

WORDS = {None: "null", True: "true", False: "false"}


def resolve(given, option: str, header: list[str], path: str) -> list[str]:
    """Return the names in the header that `given` means, a column or a list of columns.

    Hydra and YAML turn `2020`, `007`, `1.50`, `true` and `null` into numbers, booleans and None: these mean the column
    whose name would be turned into the same value.

    Raises:
        UserError: the header has no such name, several of them, or a column is given twice.
    """
    items = list(given) if isinstance(given, list | tuple) else [given]
    names = [_resolve_one(item, option, header, path=path) for item in items]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise UserError(f"{option} names the column {twice[0]!r} twice: give it once.")
    return names


def words_for(given: Iterable, option: str) -> list[str]:
    """Return names that are free to choose as text.

    Raises:
        UserError: YAML has made a boolean or None of one, whose spelling is lost.
    """
    for item in given:
        if item is None or isinstance(item, bool):
            raise UserError(f'{option} has {WORDS[item]}, a value of YAML and not a name: quote it, e.g. "yes".')
    return [str(item) for item in given]


def as_option(option: str, text: str) -> str:
    """Return `option=[text]` as the shell and Hydra take it."""
    if re.fullmatch(r"[A-Za-z_][\w./+-]*", text, re.ASCII) and yaml.safe_load(text) == text:
        return f"{option}=[{text}]"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'{option}=["{escaped}"]')


def reads_as(name: str, value) -> bool:
    """Whether Python or YAML turns the text `name` into `value`, of the same type."""
    for read in (int, float) if "#" in name else (int, float, yaml.safe_load):  # YAML takes # for a comment
        try:
            found = read(name)
        except (ValueError, yaml.YAMLError):
            continue
        if type(found) is type(value) and (found == value or (found != found and value != value)):
            return True
    return False


def shown(names: Iterable) -> str:
    """Return the first names as a list for a message."""
    names = [str(name) for name in names]
    return ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")


def _resolve_one(item, option: str, header: list[str], path: str) -> str:
    if isinstance(item, str):
        found = [name for name in header if name == item.strip()]
    elif item is None or isinstance(item, bool | int | float):
        found = [name for name in header if reads_as(name, item)]
    else:
        raise UserError(f"{option}={item} is no column: give a name, or a list of names.")
    text = WORDS[item] if item is None or isinstance(item, bool) else str(item).strip()
    if len(found) > 1:
        raise UserError(f"{option}={text} may be {' or '.join(map(repr, found))}: quote the name, '{option}=\"...\"'.")
    if not found:
        near = get_close_matches(text, header, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(f"{path} has no column {text!r}; its columns: {shown(header)}.{hint}")
    return found[0]
