"""Find what the config of a run folder would write outside of the folder."""

import inspect
import os
import re
from pathlib import Path
from typing import Any

from hydra.utils import get_object

from kindling.cli.build import calls
from kindling.files import PACKAGE

WRITERS = ("callbacks", "logger", "trainer", "folder")  # the parts of a config that write files
WRITING = re.compile(r"pytorch_lightning\.(?:callbacks|loggers|trainer|profilers)\.")  # the same in other parts
READING = f"{PACKAGE.name}.data.", f"{PACKAGE.name}.models.", "torch."
# A path that is absolute, in a home folder, on a server, or above the working folder.
OUTSIDE = re.compile(
    r"(?:^|[\s=:,\[({\"'])(?:[/~\\]|[A-Za-z]:[\\/]|\w+://|(?:[^\s=:,\"']*[/\\])?\.\.(?:$|[/\\\"',\]}]))"
)


def written_outside(key: str, part: Any, folder: str) -> str | None:
    """Return a path outside of a run's folder, also a relative one to what exists, that a part of its config writes to.

    Args:
        key: the part's key in the config.
        part: the part, as plain data whose targets are accepted, see kindling.cli.folders.foreign.
        folder: the run's folder.
    """
    for node in [part] if key in WRITERS else calls(part):
        for text in texts(node):
            is_inside = Path(os.path.abspath(text)).is_relative_to(os.path.abspath(folder))
            if leads_outside(text) and not is_inside and (key in WRITERS or _writes(node)):
                return text
    return None


def leads_outside(text: str) -> bool:
    """Return whether a text has a path that leads out of the working folder, or is one to what exists in it."""
    words = [text, *re.split(r"[\s=:,\[\](){}\"']+", text)]
    return bool(OUTSIDE.search(text)) or any("/" in w.replace(os.sep, "/") and os.path.lexists(w) for w in words)


def texts(node: Any) -> list[str]:
    """Return all values in nested plain data as texts."""
    if isinstance(node, dict):
        return [text for value in node.values() for text in texts(value)]
    return [text for value in node for text in texts(value)] if isinstance(node, list) else [str(node)]


def _writes(call: dict[str, Any]) -> bool:
    """Return whether a call makes something that may write files."""
    target = str(call["_target_"])
    if target.startswith(READING):
        return False
    found = get_object(target)
    return not inspect.isclass(found) or any(WRITING.match(f"{base.__module__}.") for base in found.__mro__)
