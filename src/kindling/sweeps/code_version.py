"""Which code a job's result depends on, by what imports what."""

import hashlib
import re
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from kindling.files import PACKAGE

LIBRARIES = ("torch", "pytorch-lightning")
IMPORT = re.compile(rf"^ *from ({PACKAGE.name}(?:\.\w+)*) import (\([^)]*\)|[^\n(]*)", re.MULTILINE)
FOLLOWED = ("data", "tasks", "models", "training")  # what cli makes of the command line is in the job's config


@cache
def code_version(targets: tuple[str, ...]) -> str:
    """Return a hash of the code of a job: a job finished with other code is not finished.

    It is that of train.py and the files next to it, of the files that the config calls, and of what these import from
    data, tasks, models and training. What draws or ranks afterwards does not count: a changed colour trains nothing
    again.

    Args:
        targets: the calls of the job's config.
    """
    digest = hashlib.sha256("".join(map(version, LIBRARIES)).encode())
    script = Path(sys.argv[0]).resolve()
    grouped = (PACKAGE / "sweeps" / "grouped").glob("*.py")  # trains many at once
    starts = [*script.parent.glob("*.py"), *grouped, *filter(None, map(_file_of, targets))]
    for file in sorted(_reached(starts)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _reached(starts: list[Path]) -> set[Path]:
    found, waiting = set(), list(starts)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += [other for other in _imports(file) if other.relative_to(PACKAGE).parts[0] in FOLLOWED]
    return found


@cache
def _imports(file: Path) -> list[Path]:
    """Return the package's files that a file imports, within its functions too.

    By pattern, because parsing the files of a job takes 0.1 s; what a docstring imports counts as well.
    """
    imports = IMPORT.findall(file.read_text(encoding="utf-8"))
    names = (f"{module}.{name}" for module, several in imports for name in re.findall(r"\w+", several))
    return [found for name in names if (found := _file_of(name))]


def _file_of(name: str) -> Path | None:
    """Return the package's file of a module, or of the module that a dotted name is in."""
    package, *parts = name.split(".")
    if package != PACKAGE.name:
        return None
    places = [PACKAGE.joinpath(*parts).with_suffix(".py"), PACKAGE.joinpath(*parts[:-1]).with_suffix(".py")]
    return next((place for place in places if place.is_file()), None)
