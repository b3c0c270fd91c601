"""The additions of docs/extending.md work exactly as described, in a single run and in a sweep."""

import json
import re
import shlex

import pytest
from conftest import PLAIN, PROJECT, needs, python

TEXT = (PROJECT / "docs" / "extending.md").read_text(encoding="utf-8")
PARTS = {part.partition("\n")[0]: part for part in re.split(r"^## (?=An? )", TEXT, flags=re.MULTILINE)[1:]}
COMMANDS = {name: re.findall(r"^(python train\.py .*)", part, re.MULTILINE) for name, part in PARTS.items()}


def write(project, path: str, position: str, text: str) -> None:
    """Write a block of the page to the file and the place that its first line names."""
    file = project / path
    if not position:
        assert not file.exists(), path
        file.write_text(text, encoding="utf-8")
        return
    kind, _, name = position.partition(" ")
    old = file.read_text(encoding="utf-8")
    table = re.search(rf"^((?:#.*\n)*)( *{re.escape(name)}.*\n)", old, re.MULTILINE)
    index = table.start() if kind == "before" else table.end()
    file.write_text(old[:index] + text + "\n\n" * (kind == "before") + old[index:], encoding="utf-8")


def test_the_page_covers_what_projects_add():
    assert {
        "A model",
        "A data set",
        "A loss",
        "A metric",
        "An activation",
        "An initialization",
        "A callback",
    } <= PARTS.keys()
    assert sum(map(len, COMMANDS.values())) == 10


def test_the_model_in_the_readme_is_the_same():
    blocks = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", PARTS["A model"], re.DOTALL))
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert len(blocks) == 2
    assert all(f"`{path}`:\n\n" in readme and f"\n{text}```" in readme for path, text in blocks.items())


@pytest.mark.slow
@needs("sweeps")
@needs("callbacks/weight_init.py")
@pytest.mark.parametrize("part", [name for name, commands in COMMANDS.items() if commands])
def test_an_addition_trains_in_a_single_run_and_in_a_sweep(copy, part):
    for path, position, text in re.findall(r"```\w+\n# ([\w./]+)(?:, ([^\n]*))?\n(.*?)```", PARTS[part], re.DOTALL):
        write(copy, path, position, text)
    for command in COMMANDS[part]:
        args = [*shlex.split(command)[2:], "epochs=2", "trainer=cpu", *PLAIN]
        single = python(copy, "train.py", *args, "hydra.run.dir=single")
        assert single.returncode == 0, single.stderr[-3000:]
        sweep = python(copy, "train.py", "-m", *args, "seed=0,1", "hydra.sweep.dir=sweep")
        assert sweep.returncode == 0, sweep.stdout[-3000:] + sweep.stderr[-3000:]
        results = [json.loads(file.read_text(encoding="utf-8")) for file in copy.glob("s*/**/result.json")]
        assert [result["status"] for result in results] == ["finished"] * 3
        same = [result["score"] for result in results if "seed=1" not in result["command"]]
        assert same[0] == pytest.approx(same[1], rel=1e-4)
        for folder in ("single", "sweep"):
            python(copy, "-c", f"import shutil; shutil.rmtree({folder!r})")
