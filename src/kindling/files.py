"""Find the files that options name. Imports neither torch nor pandas."""

from pathlib import Path

from kindling import UserError

PACKAGE = Path(__file__).parent
PROJECT = PACKAGE.parents[1]
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
