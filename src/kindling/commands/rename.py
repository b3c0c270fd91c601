"""Give the project a new name; run it in the project's folder."""

import importlib.util
import keyword
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kindling import UserError
from kindling.cli.arguments import parse
from kindling.files import PACKAGE

USAGE = "python -m kindling rename name=<a lower-case Python identifier, e.g. my_project>"
OLD = PACKAGE.name  # the current name
LEFT_OUT = {".git", ".venv", "runs", "build", "dist", "lightning_logs", "__pycache__"}  # and every .*_cache


def rename(project: Path, new: str) -> int:
    """Replace the project's name in all text files and in folder names, and return the number of changed files.

    Raises:
        UserError: the new name is no valid package name, or the folder is not the project's.
    """
    check(project, new)
    changed = sum(_rewrite(project / file, new) for file in files(project))
    for folder in (project / "src" / OLD, *sorted((project / "src" / "hydra_plugins").glob(f"{OLD}*"))):
        folder.rename(folder.with_name(folder.name.replace(OLD, new)))
    for old_install in (project / "src").glob(f"{OLD}*.egg-info"):
        shutil.rmtree(old_install)  # pip writes a new one
    return changed


def check(project: Path, new: str) -> None:
    """Reject invalid names and folders, before anything is changed."""
    src = project / "src"
    if not (src / OLD).is_dir():
        raise UserError(f"There is no src/{OLD} in {project}: go to the project's folder first.")
    if not new.isidentifier() or not new.isascii() or new != new.lower() or keyword.iskeyword(new):
        raise UserError(f"{new} is not a valid package name: use a lower-case Python identifier, e.g. my_project.")
    if (src / new).exists():
        raise UserError(f"src/{new} exists already: choose another name, or move that folder.")
    if new in sys.stdlib_module_names or importlib.util.find_spec(new):
        raise UserError(f"{new} is the name of an installed module: choose another name.")


def files(project: Path) -> list[Path]:
    """Return relative paths of the files that git tracks or would add or, without git, of all files but LEFT_OUT."""
    if shutil.which("git"):
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=project, capture_output=True, check=False)
        names = listed.stdout.decode().split("\0")
        if listed.returncode == 0 and "train.py" in names:  # otherwise the project is inside another repository
            return [Path(name) for name in names if name]
    return list(_walk(project))


def _walk(project: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(project):
        subfolders[:] = [
            name for name in subfolders if name not in LEFT_OUT and not name.endswith(("_cache", ".egg-info"))
        ]
        for name in names:
            yield (Path(folder) / name).relative_to(project)


def _rewrite(file: Path, new: str) -> bool:
    """Replace the name in a file, and return whether it changed.

    Links, deleted files, the licence and files that are not UTF-8 are skipped.
    """
    if file.is_symlink() or not file.is_file() or file.name == "LICENSE":
        return False
    raw = file.read_bytes()
    try:
        old_text = raw.decode()
    except UnicodeDecodeError:
        return False  # e.g. a picture or an archive
    camel = "".join(part.capitalize() for part in new.split("_"))
    old_camel = "".join(part.capitalize() for part in OLD.split("_"))
    text = old_text.replace(OLD, new).replace(old_camel, camel).replace(OLD.upper(), new.upper())
    if text != old_text:
        file.write_bytes(text.encode())  # bytes, to keep line endings
    return text != old_text


def main(args: list[str]) -> None:
    new = parse(args, USAGE)["name"]
    changed = rename(Path.cwd(), new)
    print(f"{OLD} is now {new}: {changed} files were changed, and the package's folder was renamed.")
    print("Run `make env` to install the package under its new name, and `make format`, as line lengths have changed.")
