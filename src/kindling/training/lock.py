"""A folder belongs to one run, and one process works in it."""

from pathlib import Path
from typing import IO

from kindling import UserError


def claim(folder: Path, new: bool) -> IO:
    """An exclusive file, to be held open: no second run ever writes here, no two processes continue the same run.

    Raises:
        UserError: the folder has another run, or another process works in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        claim = (folder / ".claim").open("x" if new else "a", encoding="utf-8")
    except FileExistsError as error:
        raise UserError(
            f"{folder} has a run already: leave hydra.run.dir out, or continue it with resume={folder}."
        ) from error
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows has no flock: there two processes that resume one run are not told apart
        return claim
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(f"{folder} is being trained by another process: wait for it, or stop it.") from error
    return claim
