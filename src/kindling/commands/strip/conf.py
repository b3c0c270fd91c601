"""Edit the configuration when an optional part is deleted: remove its calls, and options that are no longer read."""

import re
from pathlib import Path

import yaml
from omegaconf import OmegaConf

from kindling import UserError

Edits = dict[Path, tuple[str, int]]  # file -> its new text, "" if it is deleted, and the number of removed lines


def without_calls(project: Path, modules: list[str], doomed: list[Path]) -> Edits:
    """Return the YAML files that change when these modules are deleted.

    Args:
        doomed: the files and folders to be deleted.

    Raises:
        UserError: a call of a module spans several lines, which cannot be removed automatically.
    """
    files = [file for file in _files(project) if not set(file.parents) & set(doomed)]
    before = {file: file.read_text(encoding="utf-8") for file in files}
    after = {file: _without_lines(file, text, modules) for file, text in before.items()}
    groups = _emptied_groups(before, after)
    for file in before:
        if file.parent in groups:
            after[file] = ""
    gone: list[Path] = []
    while more := [file for file in before if not after[file] and file not in gone]:
        gone += more
        after = {
            file: _without_choices(file, text, gone, groups=groups) if text else "" for file, text in after.items()
        }
    dead = _dead_options(project, before, after, doomed=doomed)
    after = {file: _without_options(file, text, dead) if text else "" for file, text in after.items()}
    changed = {file: text for file, text in after.items() if text != before[file]}
    return {file: (text, before[file].count("\n") - text.count("\n")) for file, text in changed.items()}


def _files(project: Path) -> list[Path]:
    own = [path for path in (project / "src").glob("*/*/conf") if path.parent.is_dir()]
    return sorted(file for folder in (project / "conf", *own) for file in folder.rglob("*.yaml"))


def _without_lines(file: Path, text: str, modules: list[str]) -> str:
    """Return the text without calls of the modules, or "" if such a call is the purpose of the file."""
    named = re.compile(rf"^[^#]*\b({'|'.join(map(re.escape, modules))})\.")
    lines = text.splitlines(keepends=True)
    hits = [line for line in lines if named.match(line)]
    if any(line.startswith("_target_:") for line in hits):
        return ""
    if any(line.lstrip().startswith("_target_:") for line in hits):
        raise UserError(f"{file} calls {modules[0]} in a block of several lines: delete that block by hand first.")
    left = "".join(line for line in lines if line not in hits)
    if hits and file.parent.name != "conf" and "_target_:" not in left:
        return ""  # a preset for that call
    return left


def _emptied_groups(before: dict[Path, str], after: dict[Path, str]) -> set[Path]:
    """Return the folders of config groups that have lost every choice but `none`."""
    lost = {file.parent for file in before if before[file] and not after[file]}
    left = {folder: {file.stem for file in after if file.parent == folder and after[file]} for folder in lost}
    return {folder for folder, names in left.items() if names <= {"none"}}


def _without_choices(file: Path, text: str, gone: list[Path], groups: set[Path]) -> str:
    """Return the text without lines that choose deleted files, e.g. `- override hydra/launcher: together`.

    Returns "" for an experiment that also sets options of such a choice, because these would be unknown.
    """
    conf = next(path for path in file.parents if path.name == "conf")
    choices = [f"{_group(path)}{re.escape(path.stem)}" for path in gone]
    choices += [rf"{folder.relative_to(_conf(folder)).as_posix()}: \w+" for folder in groups]
    chosen = re.compile(rf"^ *- (?:override )?/?({'|'.join(choices)})(\s|$)") if choices else None
    lines = text.splitlines(keepends=True)
    hits = {line: match[1] for line in lines if chosen and (match := chosen.match(line))}
    nodes = [choice.partition(":")[0].replace("/", ".") for choice in hits.values()]
    is_experiment = file.relative_to(conf).parts[0] == "experiment"
    if is_experiment and any(OmegaConf.select(OmegaConf.create(text), node) for node in nodes):
        return ""
    left = "".join(line for line in lines if line not in hits)
    # Placeholders that such a choice would have filled.
    places = [f"conf/{folder.name}" for folder in groups] + [f"{path.parent.name}={path.stem}" for path in gone]
    for place in places:
        left = re.sub(rf"^ +\w+: null  # {place}\n", "", left, flags=re.MULTILINE)
    left = re.sub(r"^defaults:\s*\n(?! *-)", "", left, flags=re.MULTILINE) if hits else left  # must be a list
    return left if re.search(r"^[^#\n]", left, re.MULTILINE) or not hits else ""


def _group(file: Path) -> str:
    group = file.parent.relative_to(_conf(file)).as_posix()
    return "" if group == "." else f"{re.escape(group)}: "


def _conf(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.name == "conf")


def _dead_options(project: Path, before: dict[Path, str], after: dict[Path, str], doomed: list[Path]) -> set[str]:
    """Return the options that only deleted code and configs have read."""
    content = yaml.safe_load(before[project / "conf" / "config.yaml"])
    options = [name for name, value in content.items() if not isinstance(value, dict | list)]
    code = {file: file.read_text(encoding="utf-8") for file in (project / "train.py", *(project / "src").rglob("*.py"))}
    deleted = [text for file, text in code.items() if {file, *file.parents} & set(doomed)]
    kept = [text for text in code.values() if text not in deleted]
    before_in_yaml, in_yaml = ({name for name in options if _in_yaml(texts, name)} for texts in (before, after))
    read_before = {name for name in options if any(re.search(rf"\.{name}\b|\"{name}\"", text) for text in deleted)}
    read = {name for name in options if any(re.search(rf"\bcfg\.{name}\b", text) for text in kept)}
    return (before_in_yaml | read_before) - in_yaml - read


def _in_yaml(texts: dict[Path, str], name: str) -> bool:
    return any(re.search(rf"\$\{{(\w+:\$\{{)?{name}[.}}]", text) for text in texts.values())


def _without_options(file: Path, text: str, dead: set[str]) -> str:
    """Return the text without values of these options, or "" for an experiment that sets one of them."""
    if file.name != "config.yaml" and "@package _global_" not in text:
        return text
    lines = text.splitlines(keepends=True)
    left = [line for line in lines if line.partition(":")[0] not in dead]
    is_experiment = "experiment" in file.parts
    return "" if is_experiment and len(left) < len(lines) else "".join(left)
