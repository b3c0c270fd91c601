"""Every command in README and docs runs, or its prefix is listed below with what it needs or where it is tested."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import PACKAGE, PROJECT

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
OPTIONAL = ("callbacks", "plots", "doctor", "commands", "sweeps", "lectures")
GONE = [part for part in OPTIONAL if not (PACKAGE / part).exists()]

# Beginning of a command -> why it is not run here.
ELSEWHERE = {
    "make": "tests/commands/test_project.py; the other targets install packages",
    "source .venv/bin/activate": "a shell's own command",
    "python -m venv": "installs packages",
    "pip install": "installs packages",
    "pytest": "this is it",
    "tensorboard": "tests/test_browser.py",
    "python -m kindling predict": "needs a file with the columns of the training data: tests/commands/test_predict.py",
    "python -m kindling leaderboard <run>": "tests/sweeps/test_compare.py",
    "python -m kindling export": "needs a run of a table: tests/commands/test_export.py",
    "python tests/benchmarks/": "measures for minutes; that the file exists is tested here",
    'python -c "import': "imports the libraries, as every other command here does",
    "python train.py resume=last": "needs an interrupted run: tests/training/test_resume.py",
    "python train.py data=houses": "needs a file that the page describes",
    "python train.py model=bilinear": "tests/test_extending.py",
    "python train.py optimizer=adamax": "tests/test_extending.py",
    "python train.py data=moons": "tests/test_extending.py",
    "python train.py loss=focal": "tests/test_extending.py",
    "python train.py init=orthogonal": "tests/test_extending.py",
    "python train.py activation=squared": "tests/test_extending.py",
    "python train.py 'metrics={brier": "tests/test_extending.py",
    "python train.py data=... model=...": "a pattern, not a command",
    "python -m kindling <command>": "a pattern, not a command",
}


def commands(page: Path) -> list[str]:
    """Return the lines of the shell blocks and the commands in running text, without comments, in their order."""
    found, fence = [], None
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fence = line if fence is None else None
        elif fence == "```sh":
            found.append(line.partition("  #")[0].strip())
        elif fence is None:
            found += re.findall(r"`((?:python|make|tensorboard|pip) [^`]+)`", line)
    return [command for command in dict.fromkeys(found) if command]


def reason(command: str) -> str | None:
    return next((why for start, why in ELSEWHERE.items() if command.startswith(start)), None)


HERE = {page.relative_to(PROJECT).as_posix(): [c for c in commands(page) if not reason(c)] for page in PAGES}
needs_everything = pytest.mark.skipif(bool(GONE), reason=f"the pages describe {', '.join(GONE)}, which is stripped")


def test_commands_are_found_and_benchmarks_exist():
    every = [command for page in PAGES for command in commands(page)]
    assert len(every) > 60
    assert sum(map(len, HERE.values())) > 30
    for command in every:
        if file := re.match(r"python (tests/benchmarks/\w+\.py)", command):
            assert (PROJECT / file[1]).exists() or GONE, command


@needs_everything
def test_every_reason_is_that_of_a_command():
    every = [command for page in PAGES for command in commands(page)]
    assert [start for start in ELSEWHERE if not any(command.startswith(start) for command in every)] == []


@needs_everything
def test_links_lead_somewhere():
    for page in PAGES:
        for link, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8")):
            file = page.parent / link if link else page
            assert file.exists(), f"{page.name}: {link}"
            if heading:
                titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
                assert heading in anchors, f"{page.name}: {link}#{heading}"


@needs_everything
@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, found in HERE.items() if found])
def test_the_commands_of_a_page_run(tmp_path, shell, page):
    (tmp_path / "my.csv").write_text("size,rooms,price\n" + "".join(f"{i},{i % 5},{3 * i}\n" for i in range(50)))
    if any("<folder" in command for command in HERE[page]):
        shell("train.py", "-m", "seed=0,1", "epochs=1", "sweep.name=first", check=True)
    for command in HERE[page]:
        folder = "runs/sweeps/first" + ("/*seed=0*" if re.search("evaluate|pictures", command) else "")
        here = re.sub("<folder.*?>", lambda _, folder=folder: str(next(tmp_path.glob(folder))), command)
        _, script, *words = shlex.split(here)
        if script == "-m":
            script, words = PACKAGE.relative_to(PROJECT) / "__main__.py", words[1:]
        elif "--help" not in words and not any(word.startswith(("epochs=", "debug=")) for word in words):
            words.append("epochs=2")
        done = shell(str(script), *words)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


@needs_everything
@pytest.mark.slow
def test_readme_shows_what_the_first_run_prints(tmp_path, shell):
    (shown,) = re.findall(r"```\n(trainer=auto.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    done = shell("train.py", check=True)
    printed = done.stdout + done.stderr

    def form(text: str) -> list[str]:
        text = re.sub(r"2\S+_[0-9a-f]{6}", "TIME", text)
        return sorted(re.sub(r"\d[\d.,]*", "0", line) for line in text.splitlines() if not line.startswith("epoch "))

    assert form(printed) == form(shown)
