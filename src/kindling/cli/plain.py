"""Config nodes as plain data."""

from collections.abc import Iterator
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException


def to_dict(node: DictConfig | ListConfig, resolve: bool) -> dict[str, Any]:
    """Return a mapping of the config as plain dicts and lists, with interpolations resolved or as written."""
    return cast(dict[str, Any], OmegaConf.to_container(node, resolve=resolve))


def resolved_parts(parent: DictConfig | ListConfig, key: Any) -> Iterator[Any]:
    """Yield a node as plain data with resolved interpolations, or each of its parts for which that is possible."""
    node: Any = None
    try:
        node = parent[key]
        yield to_dict(node, resolve=True) if isinstance(node, DictConfig | ListConfig) else node
    except OmegaConfBaseException:
        for inner in node if isinstance(node, DictConfig) else range(len(node)) if isinstance(node, ListConfig) else ():
            yield from resolved_parts(cast(DictConfig, node), inner)
