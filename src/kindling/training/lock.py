"""Locks on files: a run's folder belongs to one run and one process."""

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
    """Lock an open file until all processes that inherited it have closed it; return whether that was possible.

    On Windows, which has no flock, it does nothing and returns True.

    Args:
        file: the file.
        shared: whether other processes may have a shared lock as well.
        wait: wait until it is possible.
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
