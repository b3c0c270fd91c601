"""Locking of a run's folder, which belongs to one run and one process."""

from pathlib import Path
from typing import TextIO

from kindling import UserError


def claim(folder: Path, new: bool) -> TextIO:
    """Create and lock the folder's claim file, which must be kept open.

    No second run then writes to the folder, and no two processes continue the same run.

    Args:
        folder: the run's folder, which is created if necessary.
        new: whether the run is new rather than resumed.

    Raises:
        UserError: the folder contains another run, or another process is using it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        claim = (folder / ".claim").open("x" if new else "a", encoding="utf-8")
    except FileExistsError as error:
        raise UserError(
            f"{folder} already contains a run: omit hydra.run.dir, or continue the run with resume={folder}."
        ) from error
    if not lock(claim):
        raise UserError(f"{folder} is in use by another process: wait for it, or stop it.")
    return claim


def lock(file: TextIO, shared: bool = False, wait: bool = False) -> bool:
    """Lock an open file until it is closed, alone or shared with others, and return whether that was possible.

    Windows has no flock, so that two processes that resume one run are not detected there.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
