"""Read the YAML files of a run folder, which may have been damaged, or written to fill the memory. Torch-free."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from kindling import UserError
from kindling.cli.folders.damaged import Damaged, reading

ALIAS = re.compile(r"(?:^|[\s\[{,])\*\w")  # may also be inside a quoted text
INTERPOLATION = re.compile(r"\$\{\s*([\w.\[\]-]*)\s*(.?)", re.DOTALL)
MOST = 200_000  # characters, about, of a config whose interpolations are resolved; a usual one has 6,000
PER_NODE = 10


def load_yaml(file: Path) -> DictConfig | ListConfig:
    """Return the content of a file that Hydra or this package has written.

    Raises:
        Damaged: the file is not valid YAML, or has aliases, with which a few lines can stand for gigabytes.
    """
    with reading(file):
        text = file.read_text(encoding="utf-8")
        if ALIAS.search(text) and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise Damaged(file, "it has YAML aliases (*name), which are never written here")
        return OmegaConf.create(text)


def reject_large(raw: dict[str, Any], folder: Path) -> None:
    """Raise UserError if a config refers to itself, or becomes too large when its interpolations are resolved.

    Args:
        raw: the unresolved config as plain data.
        folder: the run's folder, for the error message.
    """
    try:
        size = _Sizes(raw).of(())
    except RecursionError:  # a chain of interpolations, which OmegaConf could not resolve either
        size = MOST + 1
    if size > MOST:
        raise UserError(
            f"the config of {folder} refers to itself, or its interpolations stand for more than {MOST:,} characters: "
            "correct its .hydra/config.yaml."
        )


class _Sizes:
    """Sizes of the nodes of a config after resolution, computed without resolving it."""

    def __init__(self, raw: dict[str, Any]):
        self.raw = raw
        self.known: dict[tuple[str, ...], int] = {}

    def of(self, path: tuple[str, ...]) -> int:
        """Return the size of a node in characters, about, and more than MOST for a node that contains itself."""
        if path not in self.known:
            self.known[path] = MOST + 1  # while it is computed
            found, node = self._at(path)
            if found != path:
                size = self.of(found)
            elif isinstance(node, dict | list):
                size = sum(self.of((*path, str(key))) for key in (node if isinstance(node, dict) else range(len(node))))
            else:
                size = len(str(node)) + sum(self.of(target) for target in _targets(path, str(node)))
            self.known[path] = min(PER_NODE + size, MOST + 1)
        return self.known[path]

    def _at(self, path: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
        """Return the node at a path, and its own path, which differs if a parent is an interpolation."""
        node: Any = self.raw
        for i, key in enumerate(path):
            if isinstance(node, str):
                target = next(iter(_targets(path[:i], node)), None)
                return ((*target, *path[i:]), None) if target is not None else (path, None)
            node = node.get(key) if isinstance(node, dict) else node[int(key)] if _has(node, key) else None
        return path, node


def _has(node: Any, key: str) -> bool:
    return isinstance(node, list) and key.isdecimal() and int(key) < len(node)


def _targets(path: tuple[str, ...], text: str) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the nodes that the interpolations in a text refer to."""
    for name, after in INTERPOLATION.findall(text):
        if after == "}":
            dots = len(name) - len(name.lstrip("."))
            base = path[: max(len(path) - dots, 0)] if dots else ()
            yield (*base, *(part for part in re.split(r"[.\[\]]+", name) if part))
