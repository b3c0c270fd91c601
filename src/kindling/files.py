"""Find the files that options name, and write files whole. Imports neither torch nor pandas."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kindling import UserError

PACKAGE = Path(__file__).parent
PROJECT = PACKAGE.parents[1]
CORE = (
    "cli",
    "data",
    "tasks",
    "models",
    "training",
    "files.py",
    "activations.py",
    "__init__.py",
)  # the rest is optional
BEST, LAST = Path("checkpoints/best.ckpt"), Path("checkpoints/last.ckpt")  # in a run's folder
START = Path.cwd()  # hydra.job.chdir=true leaves this folder, and relative paths still count from it


def candidates(path: str) -> list[Path]:
    """Return the places that `path` may mean: from the working folder, from where the program started, the project."""
    return list(dict.fromkeys([Path(path).absolute(), START / path, PROJECT / path]))


def find(path: str, option: str = "data.path") -> Path:
    """Return the file at `path`, which is absolute or relative to one of the `candidates`' folders.

    Raises:
        UserError: there is no such file, or it is a folder.
    """
    for candidate in candidates(path):
        if candidate.is_file():
            return candidate
        if candidate.is_dir():
            raise UserError(f"{option}={path} is a folder: give the file in it.")
    folders = " nor in ".join(str(folder) for folder in dict.fromkeys([START, PROJECT]))
    raise UserError(f"{option}={path} is no file, neither in {folders}. Give a file's path.")


def shown(path: Path) -> Path:
    """Return the path as seen from where the program was started, if it is inside that folder."""
    path = path.absolute()
    return path.relative_to(START) if path.is_relative_to(START) else path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name of a temporary file, which takes the place of `path` at the end of the block; never half."""
    part = path.with_name(f"{path.name}.part")
    yield part
    os.replace(part, path)


def write_whole(path: Path, content: str | bytes) -> None:
    with replacing(path) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def write_json(path: Path, content: dict) -> None:
    write_whole(path, json.dumps(content, indent=2) + "\n")
