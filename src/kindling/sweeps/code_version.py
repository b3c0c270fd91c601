"""Hash the code that a job's result depends on, found by following imports."""

import hashlib
import re
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from kindling.files import PACKAGE

LIBRARIES = ("torch", "pytorch-lightning")
IMPORT = re.compile(rf"^ *from ({PACKAGE.name}(?:\.\w+)*) import (\([^)]*\)|[^\n(]*)", re.MULTILINE)
# The rest of cli only acts on the job's config, which is compared as well.
FOLLOWED = tuple(map(Path, ("data", "tasks", "models", "training", "activations.py", "cli/monitor.py")))


@cache
def code_version(targets: tuple[str, ...]) -> str:
    """Return a hash of the code of a job; a job that finished with different code is trained again.

    It covers train.py and the files next to it, the files that the config's targets are in, and what these import from
    the places in FOLLOWED. Code that draws or ranks afterwards is not included.

    Args:
        targets: every `_target_` in the job's config.
    """
    digest = hashlib.sha256("".join(map(version, LIBRARIES)).encode())
    script = Path(sys.argv[0]).resolve()
    grouped = (PACKAGE / "sweeps" / "grouped").glob("*.py")  # trains groups of jobs
    starts = [*script.parent.glob("*.py"), *grouped, *filter(None, map(_file_of, targets))]
    for file in sorted(_reached(starts)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _reached(starts: list[Path]) -> set[Path]:
    found: set[Path] = set()
    waiting = list(starts)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += [other for other in _imports(file) if _is_followed(other)]
    return found


def _is_followed(file: Path) -> bool:
    return any(file.relative_to(PACKAGE).is_relative_to(place) for place in FOLLOWED)


@cache
def _imports(file: Path) -> list[Path]:
    """Return the package's files that a file imports, including imports inside functions.

    Imports are matched by a pattern, because parsing the files of a job takes 0.1 s. Imports in docstrings match too.
    """
    imports = IMPORT.findall(file.read_text(encoding="utf-8"))
    names = (f"{module}.{name}" for module, several in imports for name in re.findall(r"\w+", several))
    return [found for name in names if (found := _file_of(name))]


def _file_of(name: str) -> Path | None:
    """Return the package's file of a module, or of the module that defines a dotted name."""
    package, *parts = name.split(".")
    if package != PACKAGE.name:
        return None
    places = [PACKAGE.joinpath(*parts).with_suffix(".py"), PACKAGE.joinpath(*parts[:-1]).with_suffix(".py")]
    return next((place for place in places if place.is_file()), None)
