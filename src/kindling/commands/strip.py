"""An extra: deletes an extra. `python -m kindling strip confusion`, in the project's folder; without a name: lists.

An extra is a module or folder of the package whose docstring starts with "An extra:", with a folder of the same name in
hydra_plugins where it has one. Takes neither hydra nor torch.
"""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from omegaconf import OmegaConf

from kindling import UserError, files
from kindling.cli.arguments import parse

USAGE = "python -m kindling strip [extra=<its name, or all>]"
PACKAGE = files.PACKAGE.name
TOOLS = ("rename", "strip")  # which `all` leaves there
TESTS = ("test_{}.py", "test_{}_*.py", "{}_helpers.py")  # of an extra


def extras(project: Path) -> dict[str, str]:
    """Name -> what it is, from its docstring."""
    package = project / "src" / PACKAGE
    if not package.is_dir():
        raise UserError(f"There is no src/{PACKAGE} in {project}: go to the project's folder first.")
    found = {}
    for file in sorted([*package.glob("*.py"), *package.glob("*/__init__.py")]):
        meaning = (ast.get_docstring(_parsed(file)) or "").partition("\n")[0]
        if meaning.startswith("An extra:"):
            name = file.parent.name if file.name == "__init__.py" else file.stem
            found[name] = meaning.removeprefix("An extra:").strip()
    return found


def strip(project: Path, extra: str) -> list[str]:
    """Delete an extra, its tests and its lines in conf/; what was deleted, in words.

    Raises:
        UserError: it is no extra, or something else needs it.
    """
    known = extras(project)
    if extra not in known:
        raise UserError(f"{extra} is no extra. Extras: {', '.join(known)}.")
    package, plugin = project / "src" / PACKAGE, project / "src" / "hydra_plugins" / f"{PACKAGE}_{extra}"
    doomed = [path for path in (package / extra, package / f"{extra}.py", plugin) if path.exists()]
    doomed += sorted(path for name in TESTS for path in (project / "tests").glob(name.format(extra)))
    for file in [*(project / "src").rglob("*.py"), *project.glob("*.py")]:
        needed = next((name for name in _modules(extra) if name in _imports(file)), None)
        if needed and not any(file.is_relative_to(path) for path in doomed):
            raise UserError(f"{file.relative_to(project).as_posix()} imports {needed}: strip or edit that first.")
    conf = project / "conf"
    edits = {file: _without(file, extra) for file in sorted(conf.rglob("*.yaml"))}
    gone = [file.relative_to(conf) for file, (text, lines) in edits.items() if lines and not text]
    edits = {file: _without_choices(file.relative_to(conf), text, lines, gone) for file, (text, lines) in edits.items()}
    done = [f"deleted {path.relative_to(project).as_posix()}" for path in doomed]
    for path in doomed:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for file, (text, lines) in edits.items():
        if lines:
            file.write_text(text, encoding="utf-8", newline="\n") if text else file.unlink()
            name = file.relative_to(project).as_posix()
            done.append(f"took {lines} line{'s' * (lines > 1)} out of {name}" if text else f"deleted {name}")
    return done


def strip_all(project: Path) -> list[str]:
    """Delete every extra but TOOLS, those first that nothing imports; return what was deleted, in words.

    Raises:
        UserError: something that is no extra needs one; the others are gone then.
    """
    done, left = [], [extra for extra in extras(project) if extra not in TOOLS]
    while left:
        refused = {}
        for extra in left:
            try:
                done += strip(project, extra)
            except UserError as error:
                refused[extra] = error
        if len(refused) == len(left):
            raise next(iter(refused.values()))
        left = list(refused)
    return done


def mentions(project: Path, extra: str) -> list[str]:
    """Files for people to look at: those that still name the extra's modules."""
    places = [project.glob("*.md"), *((project / name).rglob("*.*") for name in ("src", "tests", "notebooks"))]
    found = [file for place in places for file in place if file.suffix in (".py", ".md", ".ipynb")]
    named = re.compile(rf"\b({'|'.join(map(re.escape, _modules(extra)))})\b")
    return [file.relative_to(project).as_posix() for file in found if named.search(file.read_text(encoding="utf-8"))]


def _modules(extra: str) -> list[str]:
    return [f"{PACKAGE}.{extra}", f"hydra_plugins.{PACKAGE}_{extra}"]


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def _imports(file: Path) -> Iterator[str]:
    """Every module, and every name of a module, that the file imports."""
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _without(file: Path, extra: str) -> tuple[str, int]:
    """The yaml's text without the extra's lines, "" where the whole file is a call of it; and how many lines those are.

    Raises:
        UserError: the extra is called in a form of several lines, of which one cannot be taken out.
    """
    text = file.read_text(encoding="utf-8")
    named = re.compile(rf"^[^#]*\b({'|'.join(map(re.escape, _modules(extra)))})\.")
    lines = text.splitlines(keepends=True)
    hits = [line for line in lines if named.match(line)]
    if any(line.startswith("_target_:") for line in hits):
        return "", len(lines)
    if any(line.lstrip().startswith("_target_:") for line in hits):
        raise UserError(f"{file} calls {PACKAGE}.{extra} in several lines: delete that block by hand first.")
    return "".join(line for line in lines if line not in hits), len(hits)


def _without_choices(file: Path, text: str, lines: int, gone: list[Path]) -> tuple[str, int]:
    """The yaml's text without the lines that choose what is deleted, e.g. `- override hydra/launcher: together`.

    "" of an experiment that also sets what is chosen, as nothing else would take that.
    """
    choices = [rf"{re.escape(file.parent.as_posix())}: {re.escape(file.stem)}" for file in gone]
    chosen = re.compile(rf"^ *- override /?({'|'.join(choices)})(\s|$)") if choices else None
    every = text.splitlines(keepends=True)
    hits = {line: match[1] for line in every if chosen and (match := chosen.match(line))}
    nodes = [choice.partition(":")[0].replace("/", ".") for choice in hits.values()]
    if file.parts[0] == "experiment" and any(OmegaConf.select(OmegaConf.create(text), node) for node in nodes):
        return "", len(every)
    left = "".join(line for line in every if line not in hits)
    left = re.sub(r"^defaults:\s*\n(?! *-)", "", left, flags=re.MULTILINE) if hits else left  # Hydra wants a list
    return left, lines + len(hits)


def main(words: list[str]) -> None:
    extra, project = parse(words, USAGE).get("extra"), Path.cwd()
    if extra is None:
        print("\n".join(f"{name:14} {meaning}" for name, meaning in extras(project).items()))
        return
    names = list(extras(project)) if extra == "all" else [extra]
    print("\n".join(strip_all(project) if extra == "all" else strip(project, extra)))
    gone = [name for name in names if name not in extras(project)]
    if left := sorted({file for name in gone for file in mentions(project, name)}):
        print(f"Still named in {', '.join(left)}: edit by hand.")
