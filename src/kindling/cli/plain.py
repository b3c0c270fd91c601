"""Config nodes as plain data."""

from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf


def to_dict(node: DictConfig | ListConfig, resolve: bool) -> dict[str, Any]:
    """Return a mapping of the config as plain dicts and lists, with interpolations resolved or as written."""
    return cast(dict[str, Any], OmegaConf.to_container(node, resolve=resolve))
