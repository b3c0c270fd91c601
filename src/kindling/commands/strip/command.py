"""Delete an optional part of the project with its tests and its lines in conf/, or list the optional parts.

The core consists of cli/, data/, tasks/, models/ and training/. Each callback, each command, each other folder and each
folder in sweeps/ is optional. Files and folders of the same name form one part, e.g. callbacks/doctor.py and doctor/.
Deleting a part also deletes its tests, modules that nothing else uses, and options that are no longer read.
"""

import ast
import re
import shutil
from pathlib import Path

from kindling import UserError
from kindling.cli.arguments import parse
from kindling.commands.strip import imports
from kindling.commands.strip.conf import without_calls
from kindling.files import PACKAGE

USAGE = "python -m kindling strip [extra=<its name, or all>]"
TESTS = ("{}", "test_{}.py", "test_{}_*.py", "{}_helpers.py")  # patterns for the tests of a part
CORE = ("cli", "data", "tasks", "models", "training")  # folders; all others are optional, or contain optional parts
KEPT = ("rename",)  # not deleted by `all`, which deletes strip itself last


def extras(project: Path) -> dict[str, list[Path]]:
    """Return name -> files and folders, for every optional part."""
    package = project / "src" / PACKAGE.name
    if not package.is_dir():
        raise UserError(f"There is no src/{PACKAGE.name} in {project}: go to the project's folder first.")
    top = [path for path in package.iterdir() if path.is_dir() and path.name not in (*CORE, "callbacks", "commands")]
    inner = [path for name in ("callbacks", "commands", "sweeps") for path in (package / name).glob("*")]
    named = {path.stem for path in inner if path.parent.name in ("callbacks", "commands") or path.is_dir()}
    found: dict[str, list[Path]] = {}
    for path in sorted([*top, *(path for path in inner if path.stem in named)]):
        if not path.name.startswith("__"):
            found.setdefault(path.stem, []).append(path)
    return {name: found[name] for name in sorted(found)}


def strip(project: Path, extra: str) -> list[str]:
    """Delete an optional part and what only it uses, and return a line for each change.

    Raises:
        UserError: there is no such part, or something else needs it.
    """
    known = extras(project)
    if extra not in known:
        raise UserError(f"{extra} is not an optional part. Optional parts: {', '.join(known)}.")
    plugin = project / "src" / "hydra_plugins" / f"{PACKAGE.name}_{extra}"
    code = imports.Code(project)
    doomed = code.with_orphans([path for path in (*known[extra], plugin) if path.exists()])
    if needed := code.needed(doomed):
        raise UserError("{} imports {}: strip or edit that first.".format(*needed))
    related = [*project.glob(f"notebooks/{extra}.*"), *project.glob(f"tests/benchmarks/{extra}*.py")]
    related += imports.importers(project.glob("tests/benchmarks/*.py"), code.modules(doomed))
    doomed = _outermost([*doomed, *_tests(project, doomed), *related])
    edits = without_calls(project, code.modules(doomed), doomed) | _without_target(project / "Makefile", extra)
    done = [f"deleted {path.relative_to(project).as_posix()}" for path in doomed]
    for path in doomed:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for file, (text, lines) in edits.items():
        file.write_text(text, encoding="utf-8", newline="\n") if text else file.unlink()
        name = file.relative_to(project).as_posix()
        done.append(f"removed {lines} line{'s' * (lines > 1)} from {name}" if text else f"deleted {name}")
    return done


def _without_target(makefile: Path, command: str) -> dict[Path, tuple[str, int]]:
    """Return the Makefile without the target that runs a command, in the same form as `without_calls`."""
    if not makefile.exists():
        return {}
    text = makefile.read_text(encoding="utf-8")
    target = re.search(
        rf"^(\w+):.*\n(?:\t.*\n)*\t.* -m {PACKAGE.name} {command}\b.*\n(?:\t.*\n)*\n?", text, re.MULTILINE
    )
    if not target:
        return {}
    left = re.sub(rf"^(\.PHONY:.*) {target[1]}\b", r"\1", text.replace(target[0], ""), flags=re.MULTILINE)
    return {makefile: (left, target[0].count("\n"))}


def strip_all(project: Path) -> list[str]:
    """Delete every optional part except KEPT, starting with parts that nothing imports; return a line for each change.

    Raises:
        UserError: something that is not optional needs a part; the other parts have been deleted.
    """
    tool = Path(__file__).parent.name
    done, left = [], [extra for extra in extras(project) if extra not in (*KEPT, tool)]
    while left:
        rejected = {}
        for extra in left:
            try:
                done += strip(project, extra) if extra in extras(project) else []
            except UserError as error:
                rejected[extra] = error
        if len(rejected) == len(left):
            raise next(iter(rejected.values()))
        left = list(rejected)
    return done + strip(project, tool)


def listing(project: Path) -> str:
    """Return a line for every optional part: its name, its number of lines, and its description."""
    lines = []
    for name, paths in extras(project).items():
        files = [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])]
        size = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
        first = min(paths, key=lambda path: (path.is_dir(), path.parent.name != "commands"))
        inner = "command.py" if (first / "command.py").exists() else "__init__.py"
        about = first / inner if first.is_dir() else first
        doc = ast.get_docstring(ast.parse(about.read_text(encoding="utf-8"))) or ""
        lines.append(f"{name:17} {size:5,}  {doc.partition(chr(10))[0]}")
    return "\n".join(lines)


def mentions(project: Path, modules: list[str], parts: list[str]) -> list[str]:
    """Return the files that still mention the modules, folders or commands of these parts."""
    places = [project.glob("*.md"), *((project / name).rglob("*.*") for name in ("src", "tests", "notebooks", "docs"))]
    dotted, several = "|".join(map(re.escape, modules)), "|".join(part.replace("_", "[_-]") for part in parts)
    code, prose = rf"\b({dotted})\b", rf"(make|-m {PACKAGE.name}) ({several})\b|\b({several})/"
    named = {".py": code, ".md": f"{code}|{prose}", ".ipynb": f"{code}|{prose}"}
    found = [file for place in places for file in place if file.suffix in named]
    found = [file for file in found if re.search(named[file.suffix], file.read_text(encoding="utf-8"))]
    return [file.relative_to(project).as_posix() for file in found]


def _tests(project: Path, doomed: list[Path]) -> list[Path]:
    """Return the tests of these files and folders, in the mirrored folders of tests/."""
    package = project / "src" / PACKAGE.name
    places = [path.relative_to(package) for path in doomed if path.is_relative_to(package)]
    forms = [(place.parent, form.format(place.stem)) for place in places for form in TESTS]
    return sorted({path for folder, form in forms for path in (project / "tests" / folder).glob(form)})


def _outermost(paths: list[Path]) -> list[Path]:
    """Return the paths that are not inside another one."""
    return [path for path in dict.fromkeys(paths) if not set(path.parents) & set(paths)]


def main(args: list[str]) -> None:
    extra, project = parse(args, USAGE).get("extra"), Path.cwd()
    if extra is None:
        print(listing(project))
        return
    before, parts = imports.Code(project).modules([project / "src"]), extras(project)
    print("\n".join(strip_all(project) if extra == "all" else strip(project, extra)))
    gone = set(before) - set(imports.Code(project).modules([project / "src"]))
    if left := mentions(project, sorted(gone), sorted(parts.keys() - extras(project).keys())):
        print(f"Still mentioned in {', '.join(left)}: edit by hand.")
