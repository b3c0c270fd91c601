"""Hydra's override grammar: messages for overrides that it cannot parse, and quoting of values."""

import re
import shlex

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException


def explain_parse_error(override: str, multirun: bool) -> str:
    """Return the message for an override that Hydra cannot parse."""
    key, _, value = override.partition("=")
    if not re.fullmatch(r"[+~]{0,2}[A-Za-z_][A-Za-z0-9_.@/:-]*", key):
        return f"{override} cannot be parsed: {key} is not an option name, which has letters, digits and _ only."
    if re.search(r"[\s;][\w.]+=", value):
        return f"{override} contains several options: pass each as a separate argument, without quotes around them all."
    for text in _interpretations(value, multirun):
        if _parses(f"{key}={text}"):
            return f"{override} cannot be parsed: write  {for_shell(f'{key}={text}')}"
    return f"{override} cannot be parsed: a quote or bracket is missing, or there is an extra comma."


def explain_multiple_values(override: str) -> str:
    """Return the message for several values without -m."""
    key, _, value = override.partition("=")
    advice = f"to train with each of them, put -m in front:  -m {for_shell(override)}"
    if "(" not in value:
        advice += f";  for a list write  {for_shell(f'{key}=[{value}]')};  for a string with a comma write  "
        advice += for_shell(f"{key}={quote(value)}")
    return f"{override} has several values: {advice}"


def for_shell(override: str) -> str:
    """Return the override, quoted for a shell if necessary."""
    if not re.search(r"[^\w@%+=:,./~\[\]-]", override, re.ASCII):
        return override
    return shlex.quote(override) if re.search(r'["$`\\!]', override) else f'"{override}"'


def quote(value: str) -> str:
    """Return a string quoted for Hydra's grammar."""
    if '"' not in value and "'" in value:
        return f'"{value}"'
    return "'" + value.replace("'", "\\'") + "'"


def quote_if_needed(key: str, value: str) -> str:
    """Return key=value, with the value quoted if Hydra's grammar requires it."""
    plain = f"{key}={value}"
    return plain if _parses(plain) else f"{key}={quote(value)}"


def _interpretations(value: str, multirun: bool) -> list[str]:
    """Return what a value that cannot be parsed may mean, most likely first."""
    if value[:1] == "[" and value[-1:] == "]":
        inner = value[1:-1].strip().removesuffix(",")
        return [f"[{inner}]", f"[{_quote_each(inner)}]"]
    if value[:1] in ("[", "{"):
        return [value + {"[": "]", "{": "}"}[value[0]]]
    is_open = value[:1] in ("'", '"') or (value[-1:] in ("'", '"') and value.count(value[-1]) % 2)
    bare = value.strip("'\" ") if is_open else value
    several = [_quote_each(bare)] if multirun and "," in bare else []
    return [bare.removesuffix(","), *several, quote(bare)]


def _quote_each(values: str) -> str:
    parts = [part.strip() for part in values.split(",")]
    return ",".join(part if _parses(f"x={part}") else quote(part) for part in parts)


def _parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True
