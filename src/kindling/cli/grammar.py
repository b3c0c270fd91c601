"""Hydra's grammar of name=value: sentences for what it does not take, and the quotes that make a text of anything."""

import re
import shlex

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException


def grammar(override: str, multirun: bool) -> str:
    """Return the sentence for an override that Hydra's parser refuses."""
    key, _, value = override.partition("=")
    if not re.fullmatch(r"[+~]{0,2}[A-Za-z_][A-Za-z0-9_.@/:-]*", key):
        return f"{override} cannot be read: {key} is no option's name, which is made of letters, digits and _."
    if re.search(r"[\s;][\w.]+=", value):
        return f"{override} is more than one option: write each as a word of its own, without quotes around all."
    for text in _readings(value, multirun):
        if _parses(f"{key}={text}"):
            return f"{override} cannot be read as it is: write  {for_shell(f'{key}={text}')}"
    return f"{override} cannot be read: a quote or a bracket is missing, or a comma is too much."


def several(override: str) -> str:
    """Return the sentence for several values without -m."""
    key, _, value = override.partition("=")
    meanings = f"to train one after the other put -m in front:  -m {for_shell(override)}"
    if "(" not in value:
        meanings += f";  for one list write  {for_shell(f'{key}=[{value}]')};  for one text with a comma write  "
        meanings += for_shell(f"{key}={quoted(value)}")
    return f"{override} has several values: {meanings}"


def for_shell(override: str) -> str:
    """Return the override as it can be pasted into a shell."""
    if not re.search(r"[^\w@%+=:,./~\[\]-]", override, re.ASCII):
        return override
    return shlex.quote(override) if re.search(r'["$`\\!]', override) else f'"{override}"'


def quoted(value: str) -> str:
    """Return a text in the quotes of Hydra's grammar."""
    if '"' not in value and "'" in value:
        return f'"{value}"'
    return "'" + value.replace("'", "\\'") + "'"


def readable(key: str, value: str) -> str:
    """Return key=value, in quotes where Hydra needs them."""
    plain = f"{key}={value}"
    return plain if _parses(plain) else f"{key}={quoted(value)}"


def _readings(value: str, multirun: bool) -> list[str]:
    """Return what a value that cannot be read may mean, the most likely first."""
    if value[:1] == "[" and value[-1:] == "]":
        inner = value[1:-1].strip().removesuffix(",")
        return [f"[{inner}]", f"[{_each(inner)}]"]
    if value[:1] in ("[", "{"):
        return [value + {"[": "]", "{": "}"}[value[0]]]
    is_open = value[:1] in ("'", '"') or (value[-1:] in ("'", '"') and value.count(value[-1]) % 2)
    bare = value.strip("'\" ") if is_open else value
    several = [_each(bare)] if multirun and "," in bare else []
    return [bare.removesuffix(","), *several, quoted(bare)]


def _each(values: str) -> str:
    parts = [part.strip() for part in values.split(",")]
    return ",".join(part if _parses(f"x={part}") else quoted(part) for part in parts)


def _parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True
