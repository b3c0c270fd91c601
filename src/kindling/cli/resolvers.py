"""The resolvers of conf/config.yaml, e.g. `${unique:}`."""

import secrets

from omegaconf import OmegaConf

from kindling.cli.monitor import direction
from kindling.cli.overrides import changed


def register() -> None:
    """Register them with OmegaConf; a second time changes nothing."""
    for name, resolver in RESOLVERS.items():
        OmegaConf.register_new_resolver(name, resolver, use_cache=name == "unique", replace=True)


RESOLVERS = {
    "unique": lambda: secrets.token_hex(3),
    "or": lambda *values: next((value for value in values if value), None),
    "changed": changed,
    "better": lambda name: direction(name) or "auto",
}
