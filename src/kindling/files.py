"""Find the files that options name, check names of folders, write atomically. Imports neither torch nor pandas."""

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
BEST, LAST = Path("checkpoints/best.ckpt"), Path("checkpoints/last.ckpt")  # relative to a run's folder
# What a run's folder has before training: the config, the lock, the log, event files with hyperparameters, the result.
BEFORE_TRAINING = r"\.hydra/\w+\.yaml|\.claim|[^/]+\.log|events\.out\.tfevents\.[^/]+|result\.json"
NO_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # characters that no name of a file has on one of the systems
MAX_BYTES = 255  # of a name
MANY_BYTES, MAX_RATIO = 2**27, 200  # size, and size relative to the file, from which unpacking a file is refused
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


def why_no_name(name: object) -> str | None:
    """Return why a value cannot be the name of a folder, or None."""
    if not isinstance(name, str) or name.strip(" .") == "":
        return "it is empty or only dots" if isinstance(name, str) else "it is not a text"
    if found := NO_NAME.search(name):
        return f"it contains {found[0]!r}"
    return f"it is longer than {MAX_BYTES} bytes" if len(os.fsencode(name)) > MAX_BYTES else None


def child(folder: Path, name: object, source: Path) -> Path:
    """Return the path of a folder inside `folder` that one of its files names.

    Args:
        folder: the folder of a sweep.
        name: the name, which may have been written by somebody else.
        source: the file that has the name, for the error message.

    Raises:
        UserError: the name is a path, or a link that leads out of the folder.
    """
    path = folder / str(name)
    why = why_no_name(name)
    if not why and not path.resolve().is_relative_to(folder.resolve()):
        why = f"it is a link to {path.resolve()}"
    if why:
        raise UserError(f"{source} names the folder {name!r}, but {why}: it must be the name of a folder in {folder}.")
    return path


def reject_links(folder: Path) -> None:
    """Raise UserError if an existing folder has a link that leads out of it, through which a run would write.

    The folder itself may be a link. Pipes and devices are rejected as well.
    """
    if too_long := next((part for part in folder.parts if len(os.fsencode(part)) > MAX_BYTES), None):
        raise UserError(f"{too_long} cannot name a folder: it is longer than {MAX_BYTES} bytes.")
    root, waiting = os.path.realpath(folder), [str(folder)] if folder.is_dir() else []
    while waiting:
        with suppress(FileNotFoundError), os.scandir(waiting.pop()) as entries:  # a running sweep renames folders
            for entry in entries:
                target = os.path.realpath(entry.path) if entry.is_symlink() else None
                if target and not Path(target).is_relative_to(root):
                    raise UserError(
                        f"{entry.path} is a link to {target}, outside of {folder}, and files could be written there: "
                        "replace it by a copy of what it links to, or delete it."
                    )
                if not entry.is_symlink() and entry.is_dir():
                    waiting.append(entry.path)
                elif not entry.is_symlink() and not entry.is_file():
                    raise UserError(f"{entry.path} is a pipe, socket or device instead of a file: delete it.")


def is_untrained(folder: Path) -> bool:
    """Return whether a run's folder has only files that are written before training, and no checkpoint or metrics."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()]
    return all(re.fullmatch(BEFORE_TRAINING, name) for name in names)


def has_config(folder: Path) -> bool:
    """Return whether Hydra has written its three files of a run's config completely; the overrides are the last one."""
    overrides = folder / ".hydra" / "overrides.yaml"
    return (folder / ".hydra" / "hydra.yaml").is_file() and overrides.is_file() and overrides.stat().st_size > 0


def reject_bomb(path: Path | str, packed: int, unpacked: int) -> None:
    """Raise UserError if a compressed file is suspiciously large when unpacked; real tables shrink to a fiftieth."""
    if unpacked > MANY_BYTES and unpacked > MAX_RATIO * packed:
        raise UserError(
            f"{path} is over {MAX_RATIO} times larger when unpacked, and could fill the memory: if you trust it, "
            "unpack it first, or save it without compression."
        )


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
