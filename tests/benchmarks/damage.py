"""Damage every file of real run folders in several ways, and see what every command that reads the folder makes of it.

    python tests/benchmarks/damage.py [words]      e.g.  python tests/benchmarks/damage.py table flipped report

Words select cases: a folder (run, table, sweep, search), a damage (deleted, half, empty, zeros, flipped), a command, or
a file's name; within each of the four, several words add up. A file is damaged in a fresh copy of the folder. Contents
are damaged only for commands that open the file in an undamaged folder, because others cannot notice it. An outcome is

    same      exit code 0 and the results of the undamaged folder, because the file is restored or not needed (a damaged
              file that is left as it is does not count as a result)
    named     other results, and the output names the file or its folder; exit code 0, or 1 with an unfinished job
    sentence  exit code 2 and a message without a traceback
    bad       anything else: a traceback, another exit code, or other results without a word

The exit code is 1 if there is a bad one.
"""

import json
import os
import random
import re
import runpy
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from damage_cases import COMMANDS, PROJECT, make_folders, outcome, results_of

sys.path.insert(0, str(PROJECT / "tests"))
from forked import exit_after

DAMAGES = ("deleted", "half", "empty", "zeros", "flipped")


def damage(file: Path, kind: str, seed: int = 0) -> bytes | None:
    """Damage a file, and return its new content; "flipped" changes one bit in each of 20 bytes."""
    content = bytearray(file.read_bytes())
    if kind == "deleted":
        return file.unlink()
    if kind == "flipped":
        draw = random.Random(f"{seed} {file.name}")
        for place in draw.sample(range(len(content)), min(20, len(content))):
            content[place] ^= 1 << draw.randrange(8)
    changed = {"half": content[: len(content) // 2], "empty": b"", "zeros": bytes(len(content)), "flipped": content}
    file.write_bytes(changed[kind])
    return bytes(changed[kind])


def run(args: list[str], folder: Path) -> tuple[int, str, list[str]]:
    """Run a command in a forked process, and return its exit code, its output, and the files that it opens."""
    output, opened = folder / "output.txt", folder / "opened.txt"
    child = os.fork()
    if child == 0:
        _become(args, folder, output, opened)
    _, status = os.waitpid(child, 0)
    files = opened.read_text(encoding="utf-8").splitlines()
    return os.waitstatus_to_exitcode(status), output.read_text(encoding="utf-8", errors="replace"), files


def _become(args: list[str], folder: Path, output: Path, opened: Path) -> None:
    os.chdir(folder)
    for number in (1, 2):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    log = opened.open("w", buffering=1, encoding="utf-8")

    def hook(event: str, arguments: tuple) -> None:
        if event in ("open", "sqlite3.connect") and isinstance(arguments[0], str | bytes | Path):
            path = os.path.relpath(os.fsdecode(arguments[0]))
            if path.startswith("runs" + os.sep):
                log.write(path + "\n")

    sys.addaudithook(hook)
    sys.argv = [str(PROJECT / "train.py"), *args[1:]] if args[0] == "train" else ["kindling", *args]
    sys.path[:0] = [str(PROJECT)]
    if args[0] == "train":
        exit_after(lambda: runpy.run_path(sys.argv[0], run_name="__main__"))
    exit_after(lambda: runpy.run_module("kindling", run_name="__main__", alter_sys=True))


def copied(folder: Path, place: Path) -> Path:
    """Return a fresh copy of a folder at a place, so that absolute paths in its files stay valid."""
    shutil.rmtree(place, ignore_errors=True)
    return Path(shutil.copytree(folder, place))


def check(source: Path, place: Path, name: str, wanted: dict[str, list[str]]) -> list[tuple[str, ...]]:
    """Return (outcome, folder, damage, command, file, what was printed) of all selected cases of a folder."""
    found = []
    files = sorted(file for file in (source / "runs").rglob("*") if file.is_file() and file.name != ".claim")
    for command, args in COMMANDS[name].items():
        if wanted["command"] and command not in wanted["command"]:
            continue
        code, output, opened = run(args, copied(source, place))
        if code:
            sys.exit(f"{name}: {command} fails in the undamaged folder:\n{output}")
        whole = results_of(command, place, output)
        for file in (file.relative_to(source) for file in files):
            for kind in DAMAGES:
                is_read = kind == "deleted" or str(file) in opened
                is_chosen = not wanted["damage"] or kind in wanted["damage"]
                if is_read and is_chosen and (not wanted["file"] or file.name in wanted["file"]):
                    left = damage(copied(source, place) / file, kind)
                    code, output, _ = run(args, place)
                    now = (place / file).read_bytes() if (place / file).exists() else None
                    known = {name: value for name, value in whole.items() if name != str(file) or now != left}
                    how = outcome((code, output), file, known, command=command, place=place)
                    found.append((how, name, kind, command, str(file), output))
    return found


def select(words: list[str]) -> dict[str, list[str]]:
    """Return the words of each kind; words of no other kind are names of files."""
    commands = {command for own in COMMANDS.values() for command in own}
    kinds = {"folder": set(COMMANDS), "damage": set(DAMAGES), "command": commands}
    found = {kind: [word for word in words if word in known] for kind, known in kinds.items()}
    return found | {"file": [word for word in words if not any(word in known for known in kinds.values())]}


def report(found: list[tuple[str, ...]]) -> int:
    """Print the number of outcomes of every command and the bad cases, and return the exit code."""
    outcomes = ("same", "named", "sentence", "bad")
    counts = Counter((name, command, how) for how, name, _, command, _, _ in found)
    print(f"{'folder':8}{'command':14}" + "".join(f"{how:>10}" for how in outcomes))
    for name, command in dict.fromkeys((name, command) for name, command, _ in counts):
        print(f"{name:8}{command:14}" + "".join(f"{counts[name, command, how]:10}" for how in outcomes))
    totals = Counter(how for how, *_ in found)
    print(f"{len(found):<8,}{'cases':14}" + "".join(f"{totals[how]:10}" for how in outcomes))
    for how, name, kind, command, file, output in found:
        if how == "bad" or os.environ.get("SHOW") == how:
            last = " | ".join(re.sub(r"\s+", " ", line) for line in output.splitlines()[-3:])
            print(f"\n{how}: {name}, {command}, {kind} {file}\n  {last[:600]}")
    return int(totals["bad"] > 0)


def main(words: list[str]) -> int:
    """Check the selected cases, print the table, and return the exit code."""
    started, wanted, found = time.monotonic(), select(words), []
    with tempfile.TemporaryDirectory() as temporary:
        for name in wanted["folder"] or COMMANDS:
            source, place = Path(temporary) / name / "whole", Path(temporary) / name / "here"
            place.mkdir(parents=True)
            make_folders(name, place)
            copied(place, source)
            found += check(source, place, name, wanted)
            print(f"{name}: {json.dumps(Counter(how for how, other, *_ in found if other == name))}", flush=True)
    print(f"{time.monotonic() - started:.0f} s")
    return report(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
