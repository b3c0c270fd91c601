"""`make rename` and `make strip`, on a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT, python

# The current name: these tests also work in a renamed or stripped project.
NAME = next((PROJECT / "src").glob("*/__init__.py")).parent.name
NEW = "lantern" if NAME != "lantern" else "candle"
PACKAGE = PROJECT / "src" / NAME
needs_rename = pytest.mark.skipif(not (PACKAGE / "commands/rename.py").exists(), reason="rename is stripped")
needs_strip = pytest.mark.skipif(
    not (PACKAGE / "commands/strip").exists() or not (PACKAGE / "callbacks/confusion_matrix.py").exists(),
    reason="strip or confusion_matrix is stripped",
)
needs_search = pytest.mark.skipif(not (PACKAGE / "sweeps/search").exists(), reason="search is stripped")


try:
    from kindling.commands.strip.command import extras
except ModuleNotFoundError:
    extras = None


def texts(folder: Path) -> dict[str, str]:
    """Return path -> content of every text file."""
    found = {}
    for file in (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts):
        raw = file.read_bytes()
        if b"\0" not in raw:
            found[file.relative_to(folder).as_posix()] = raw.decode()
    return found


def own_fast_tests(folder: Path) -> subprocess.CompletedProcess:
    """Run the copy's fast tests, except these and those of the notebooks, which may draw a stripped picture."""
    left_out = ["--ignore=tests/commands/test_project.py", "--ignore=tests/test_notebooks.py"]
    return python(folder, "-m", "pytest", "-q", "-m", "not slow", "-x", "-p", "no:cacheprovider", *left_out)


def without_confusion(folder: Path, name: str = NAME) -> None:
    for extra in ("pictures", "confusion_matrix"):
        if (folder / f"src/{name}/callbacks/{extra}.py").exists():
            stripped = python(folder, "-m", name, "strip", extra)
            assert stripped.returncode == 0, stripped.stderr


@needs_rename
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My-Project", "My-Project is not a valid package name: use a lower-case Python identifier"),
        ("lambda", "lambda is not a valid package name"),
        ("json", "json is the name of an installed module"),
        ("torch", "torch is the name of an installed module"),
        (NAME, f"src/{NAME} exists already"),
    ],
)
def test_rename_rejects_invalid_package_names(copy, name, message):
    before = texts(copy)
    rejected = python(copy, "-m", NAME, "rename", name)
    assert (rejected.returncode, message in rejected.stderr) == (2, True), rejected.stderr
    assert texts(copy) == before


@needs_rename
def test_rename_rejects_a_folder_without_the_project(copy):
    (copy / "src" / NAME).rename(copy / "elsewhere")
    command = [sys.executable, "-m", NAME, "rename", NEW]
    env = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    rejected = subprocess.run(command, cwd=copy, env=env, capture_output=True, encoding="utf-8", timeout=60)
    assert (rejected.returncode, f"There is no src/{NAME} in" in rejected.stderr) == (2, True), rejected.stderr


@needs_rename
def test_a_renamed_project_composes_its_config_and_does_not_contain_its_old_name(copy):
    (copy / "src" / "hydra_plugins" / f"{NAME}_plugin").mkdir(parents=True)
    renamed = python(copy, "-m", NAME, "rename", NEW)
    assert (renamed.returncode, "make env" in renamed.stdout) == (0, True), renamed.stderr
    assert (copy / "src" / "hydra_plugins" / f"{NEW}_plugin").is_dir()
    left = {path for path, text in texts(copy).items() if re.search(NAME, path + text, re.IGNORECASE)}
    notice = (PROJECT / "LICENSE").read_text(encoding="utf-8")
    assert left == ({"LICENSE"} if NAME in notice.lower() else set())  # MIT requires that the notice is kept
    shown = python(copy, "train.py", "--cfg", "job")
    assert (shown.returncode, f"{NEW}.models.mlp.Deep" in shown.stdout) == (0, True), shown.stderr


@needs_rename
@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_rename_does_not_change_ignored_or_binary_files(copy):
    subprocess.run(["git", "init", "-q", str(copy)], check=True)
    (copy / "runs").mkdir()
    (copy / "runs" / "train.log").write_text(NAME, encoding="utf-8")
    (copy / "picture.png").write_bytes(b"\xff\x00" + NAME.encode())
    (copy / "windows.txt").write_bytes(f"{NAME}\r\n{NAME.capitalize()}\r\n".encode())
    assert python(copy, "-m", NAME, "rename", "two_words").returncode == 0
    assert (copy / "runs" / "train.log").read_text(encoding="utf-8") == NAME
    assert (copy / "picture.png").read_bytes() == b"\xff\x00" + NAME.encode()
    assert (copy / "windows.txt").read_bytes() == b"two_words\r\nTwoWords\r\n"


@needs_strip
def test_strip_lists_optional_parts_with_their_size_and_rejects_everything_else(copy):
    listed = python(copy, "-m", NAME, "strip")
    assert listed.returncode == 0, listed.stderr
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    assert all(int(lines.replace(",", "")) > 0 and what for _, lines, what in rows), listed.stdout
    known = [name for name, *_ in rows]
    assert {"confusion_matrix", "strip"} <= set(known)
    rejected = python(copy, "-m", NAME, "strip", "tasks")
    assert (rejected.returncode, rejected.stderr.strip()) == (
        2,
        f"tasks is not an optional part. Optional parts: {', '.join(known)}.",
    )
    assert (copy / "src" / NAME / "tasks").exists()


@needs_strip
@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        (
            "own.py",
            "from {name}.callbacks import confusion_matrix\n",
            "own.py imports {name}.callbacks.confusion_matrix",
        ),
        (
            "own.py",
            "import {name}.callbacks.confusion_matrix as c\n",
            "own.py imports {name}.callbacks.confusion_matrix",
        ),
        (
            "conf/more.yaml",
            "a:\n  _target_: {name}.callbacks.confusion_matrix.text\n",
            "calls {name}.callbacks.confusion_matrix in a block of several lines",
        ),
    ],
    ids=["import from", "import", "a call of several lines"],
)
def test_strip_rejects_a_part_that_something_else_needs(copy, path, text, message):
    for part in ("callbacks/pictures.py", "commands/pictures.py", "plots/run_folder.py"):  # they need its figure, too
        (copy / "src" / NAME / part).unlink(missing_ok=True)
    (copy / path).write_text(text.format(name=NAME), encoding="utf-8")
    before = texts(copy)
    rejected = python(copy, "-m", NAME, "strip", "confusion_matrix")
    assert (rejected.returncode, message.format(name=NAME) in rejected.stderr) == (2, True), rejected.stderr
    assert texts(copy) == before


@needs_strip
@pytest.mark.slow
def test_a_stripped_project_trains_without_the_part_and_its_options(copy):
    (copy / "conf" / "model" / "matrix.yaml").write_text(
        f"# a call\n_target_: {NAME}.callbacks.confusion_matrix.text\nnames: []\n", encoding="utf-8"
    )
    without_confusion(copy)
    assert python(copy, "-m", NAME, "strip", "regularization").returncode == 0
    gone = ["callbacks/confusion_matrix.py", "callbacks/regularization.py"]
    gone = [f"src/{NAME}/{path}" for path in gone]
    gone += ["tests/callbacks/test_confusion_matrix.py", "tests/callbacks/test_regularization.py"]
    assert not [path for path in [*gone, "conf/model/matrix.yaml"] if (copy / path).exists()]
    config = (copy / "conf" / "config.yaml").read_text(encoding="utf-8")
    assert not re.search(r"confusion|regularization|^l1:|^clip:|^pictures:", config, re.MULTILINE)
    trained = python(copy, "train.py", "epochs=1", "trainer=cpu")
    assert trained.returncode == 0, trained.stderr
    (result,) = (copy / "runs").glob("*/*/result.json")
    assert json.loads(result.read_text(encoding="utf-8"))["status"] == "finished"
    assert not (result.parent / "confusion_matrix.png").exists()


@needs_strip
@needs_search
def test_strip_rejects_a_part_that_a_plugin_imports(copy):
    with (copy / f"src/hydra_plugins/{NAME}_config/__init__.py").open("a", encoding="utf-8") as plugin:
        plugin.write(f"from {NAME}.sweeps.search.space import distribution\n")
    before = texts(copy)
    rejected = python(copy, "-m", NAME, "strip", "search")
    wanted = f"src/hydra_plugins/{NAME}_config/__init__.py imports {NAME}.sweeps.search: strip or edit that first."
    assert (rejected.returncode, rejected.stderr.strip()) == (2, wanted)
    assert texts(copy) == before


@pytest.mark.slow
@needs_strip
@needs_search
@pytest.mark.parametrize("extras", [["search"], ["leaderboard", "search", "sweeps"]], ids=" ".join)
def test_an_extra_is_deleted_with_its_plugin_its_tests_and_the_configs_that_choose_it(copy, extras):
    own = copy / "conf/experiment/own.yaml"  # without other defaults or options of the search
    own.write_text("# @package _global_\ndefaults:\n  - override /hydra/sweeper: optuna\n\nlr: 0.5\n", encoding="utf-8")
    for extra in extras:
        strip_with_what_needs_it(copy, extra)
    assert "lr: 0.5" in python(copy, "train.py", "experiment=own", "--cfg", "job").stdout
    names = "|".join(rf"{NAME}[._]{extra}\b|sweeps[./]{extra}\b|tests/sweeps/test_{extra}" for extra in extras)
    code = {path: text for path, text in texts(copy).items() if path.startswith(("conf", "src"))}
    assert not [path for path in texts(copy) if re.search(names, path)]
    assert not [path for path, text in code.items() if re.search(names, text)]
    assert not (copy / "src/kindling/lectures/conf/experiment/lectures/random_search.yaml").exists()
    chosen = python(copy, "train.py", "--cfg", "hydra", "--package", "hydra.sweeper").stdout
    assert ("BasicSweeper" if "sweeps" in extras else "GridSweeper") in chosen
    for args in (["seed=3"], ["-m", "seed=0,1"]):
        trained = python(copy, "train.py", *args, "epochs=1", "trainer=cpu")
        assert trained.returncode == 0, trained.stderr
    results = [json.loads(file.read_text(encoding="utf-8")) for file in (copy / "runs").rglob("result.json")]
    assert [result["status"] for result in results] == ["finished"] * 3


@pytest.mark.slow
@needs_rename
@needs_strip
def test_a_renamed_and_stripped_project_passes_its_own_tests(copy):
    assert python(copy, "-m", NAME, "rename", NEW).returncode == 0
    without_confusion(copy, NEW)
    tested = own_fast_tests(copy)
    assert tested.returncode == 0, tested.stdout[-3000:] + tested.stderr


def assert_linted(folder: Path) -> None:
    for args in (["check"], ["format", "--check"]):
        done = python(folder, "-m", "ruff", *args)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def assert_sound(folder: Path, tests: str) -> None:
    """Lint the copy, collect all its tests, and run those that match pytest's -k expression."""
    assert_linted(folder)
    tested = python(folder, "-m", "pytest", "-q", "-m", "not slow", "-x", "-p", "no:cacheprovider", "-k", tests)
    assert tested.returncode == 0, tested.stdout[-3000:] + tested.stderr


def strip_with_what_needs_it(folder: Path, extra: str) -> None:
    """Strip an extra, after the parts that need it according to the error messages."""
    while (done := python(folder, "-m", NAME, "strip", extra)).returncode == 2:
        needed = re.match(r"(src/\S+) imports", done.stderr)
        assert needed, done.stderr
        importer = folder / needed[1]
        parts = [(name, path) for name, paths in extras(folder).items() for path in paths]
        parts += [(name, folder / f"src/hydra_plugins/{NAME}_{name}") for name in extras(folder)]
        inside = [name for name, path in parts if path in (importer, *importer.parents)]
        strip_with_what_needs_it(folder, inside[0])
        if extra not in extras(folder):  # it was part of the other
            return
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@needs_strip
@pytest.mark.parametrize("extra", sorted(extras(PROJECT)) if extras else [])
def test_a_project_without_an_extra_is_sound(copy, extra):
    strip_with_what_needs_it(copy, extra)
    assert_sound(copy, "test_files.py or test_two_loggers_at_once or test_models.py")


@pytest.mark.slow
@needs_strip
def test_a_project_without_any_extra_passes_its_own_tests(copy):
    stripped = python(copy, "-m", NAME, "strip", "all")
    assert stripped.returncode == 0, stripped.stderr
    assert "README.md" in stripped.stdout.splitlines()[-1]  # lists files to edit by hand
    assert list(extras(copy)) == ["rename"]  # strip itself is deleted last
    assert "strip" not in (copy / "Makefile").read_text(encoding="utf-8")
    assert_linted(copy)
    tested = own_fast_tests(copy)
    assert tested.returncode == 0, tested.stdout[-3000:] + tested.stderr


@pytest.mark.slow
@needs_rename
def test_a_renamed_project_is_sound_and_can_be_renamed_again(copy):
    assert python(copy, "-m", NAME, "rename", NEW).returncode == 0
    for args in (["check", "-q", "--fix", "--exit-zero"], ["format", "-q"]):  # as `make rename` does
        assert python(copy, "-m", "ruff", *args).returncode == 0
    again = "test_a_renamed_project_composes_its_config_and_does_not_contain_its_old_name"
    assert_sound(copy, f"{again} or test_cli.py or test_arguments.py or test_entry.py")
