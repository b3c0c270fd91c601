"""The resolvers of conf/config.yaml: ${unique:}, ${or:}, ${name:}, ${changed:} and ${better:}."""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from omegaconf import OmegaConf

from kindling.cli.monitor import direction


def folder_suffix(overrides: Iterable[str], omit: str = "data model") -> str:
    """Return the overrides as part of a folder's name, omitting those already in the parent folder's name."""
    omitted = (*omit.split(), "verbose", "logger", "resume")
    kept = [override.lstrip("+~") for override in overrides if override.split("=")[0] not in omitted]
    name = as_name("_".join(kept)).strip("-")
    return f"_{name}" if name else ""


def as_name(text: str) -> str:
    """Return a text as part of a folder's name, without separators of folders and other special characters."""
    return re.sub(r"[^A-Za-z0-9_=.,+-]+", "-", text)[:100]


def register_resolvers() -> None:
    """Register the resolvers of conf/config.yaml with OmegaConf; calling it again has no effect."""
    for name, resolver in RESOLVERS.items():
        OmegaConf.register_new_resolver(name, resolver, use_cache=name == "unique", replace=True)


def _first_given(*values: Any) -> Any:
    return next((value for value in values if value is not None and value != ""), None)


RESOLVERS: dict[str, Callable[..., Any]] = {
    "unique": lambda: secrets.token_hex(3),
    "or": _first_given,
    "name": as_name,
    "changed": folder_suffix,
    "better": lambda name: direction(name) or "auto",
}
