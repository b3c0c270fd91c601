"""Find the files that options name, and write files atomically. Imports neither torch nor pandas."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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
)  # everything else is optional
BEST, LAST = Path("checkpoints/best.ckpt"), Path("checkpoints/last.ckpt")  # relative to a run's folder
# What a run's folder has before training: the config, the lock, the log, event files with hyperparameters, the result.
BEFORE_TRAINING = r"\.hydra/\w+\.yaml|\.claim|[^/]+\.log|events\.out\.tfevents\.[^/]+|result\.json"
START = Path.cwd()  # relative paths are resolved against it even after hydra.job.chdir=true


def candidates(path: str) -> list[Path]:
    """Return `path` resolved against the working folder, the folder the program was started in, and the project."""
    return list(dict.fromkeys([Path(path).absolute(), START / path, PROJECT / path]))


def find(path: str, option: str = "data.path") -> Path:
    """Return the first existing file among the `candidates` for `path`.

    Args:
        path: an absolute or relative path.
        option: the option that gave the path, for the error message.

    Raises:
        UserError: there is no such file, or it is a folder.
    """
    for candidate in candidates(path):
        if candidate.is_file():
            return candidate
        if candidate.is_dir():
            raise UserError(f"{option}={path} is a folder: give the path of a file.")
    folders = " or in ".join(str(folder) for folder in dict.fromkeys([START, PROJECT]))
    raise UserError(f"{option}={path}: no such file in {folders}. Give the path of an existing file.")


def display_path(path: Path) -> Path:
    """Return the path relative to the folder the program was started in, or absolute if it is outside."""
    path = path.absolute()
    return path.relative_to(START) if path.is_relative_to(START) else path


def is_untrained(folder: Path) -> bool:
    """Return whether a run's folder has only files that are written before training, and no checkpoint or metrics."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()]
    return all(re.fullmatch(BEFORE_TRAINING, name) for name in names)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which atomically replaces `path` when the block ends without an error.

    After an error it is deleted. An OSError of a write to it, such as a full disk, names `path`.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):  # the folder is read-only or has been deleted; the first error is raised
            part.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(part)):
            error.filename = str(path)
        raise


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write to a temporary file, then rename it, so that `path` is never incomplete."""
    with replacing(path) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write indented JSON atomically."""
    write_atomically(path, json.dumps(content, indent=2) + "\n")
