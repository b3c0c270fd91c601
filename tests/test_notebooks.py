"""Every notebook runs from top to bottom, and its outputs are those that are stored and that its text describes."""

import itertools
import re
import sys

import nbformat
import pytest
from conftest import PROJECT

sys.path.insert(0, str(PROJECT / "notebooks"))
from execute import execute

PACKAGE = next((PROJECT / "src").glob("*/__init__.py")).parent
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


def text(*cells) -> str:
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for cell in cells for o in cell.outputs]
    return "\n".join(texts)


def pictures(*cells) -> int:
    return sum("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)


def found(pattern: str, cells) -> list:
    """Return the groups of all matches in the outputs of the cells, converted to numbers if possible."""
    rows = re.findall(pattern, text(*cells))
    number = re.compile(r"-?[\d.,]+(e[+-]?\d+)?")
    return [[float(v.replace(",", "")) if number.fullmatch(v) else v.strip() for v in row] for row in rows]


def start(cells):
    assert "'test/accuracy': 0." in text(cells[-3])
    assert "same logits: True" in text(cells[-2])
    assert [pictures(cell) for cell in cells if pictures(cell)] == [1, 1]  # the scatter and the confusion matrix
    assert pictures(cells[-1]) == 1


def line(cells):
    gradients = found(r"([wb]) +(-\d\S+) +(-\d\S+) +(-\d\S+)", cells)
    assert [row[0] for row in gradients] == ["w", "b"]
    for _, autograd, formula, difference in gradients:
        assert autograd == pytest.approx(formula, abs=1e-7) == pytest.approx(difference, abs=1e-7)
    full, mini, stochastic = found(r"(\d+) steps  w (\S+)  b (\S+)", cells)
    assert [full[0], mini[0], stochastic[0]] == [20, 160, 2560]
    assert full[2] > mini[2] > stochastic[2] == pytest.approx(0.2, abs=0.05)
    before = found(r"loss (\S+) before, (\S+) after", cells)[0]
    (_, slow), (_, good), (_, swinging), (_, diverging) = found(r"(too low|good|swinging|diverging) .* (\S+)\n", cells)
    assert before[0] > slow > good > swinging  # according to the text, the rate close to the limit is the fastest
    assert diverging > 100 * before[0]
    assert pictures(*cells) == 4


def features_or_hidden_layers(cells):
    accuracy = {
        (name, kind): share / 100 for name, kind, share in found(r"(\w+) +(.*?)  +.* (\S+)% test accuracy", cells)
    }
    raw = [share for (_, kind), share in accuracy.items() if kind == "raw columns, logistic"]
    best = {"ring": 0.956, "xor": 0.964, "spiral": 1.0}  # what the wrong labels leave
    assert len(accuracy) == 9
    assert max(raw) < 0.7
    for (name, kind), share in accuracy.items():
        if kind != "raw columns, logistic":
            assert best[name] - 0.06 < share < best[name] + 0.01
    assert pictures(*cells) == 4


def activation_and_depth(cells):
    assert found(r"(sigmoid|relu) +largest derivative (\S+),", cells) == [["sigmoid", 0.25], ["relu", 1.0]]
    ratio = {(name, init): value for name, init, value in found(r"(\w+), (\w+) initialization .* last (\S+)", cells)}
    assert ratio["sigmoid", "default"] < 0.25**12
    assert min(ratio["relu", "kaiming"], ratio["tanh", "xavier"]) > 0.05
    ranked = {(name, depth): loss for name, depth, loss in found(r"\n\d+ +(\w+) +(\d) +(\S+) \S+ 0\.\d+", cells)}
    assert len(ranked) == 12
    assert min(ranked["sigmoid", 4], ranked["sigmoid", 8]) > 0.65 > 0.45 > max(ranked["tanh", 8], ranked["relu", 8])
    bad, good = found(r"(bad|good) +val/loss (\S+)", cells)
    assert bad[1] > good[1] + 0.2
    if (PACKAGE / "doctor").exists():
        assert re.search("gradient vanishes.*activation=relu init=kaiming", text(cells[-1]))
    assert pictures(*cells) == 3


def digits(cells):
    (_, *softmax), (_, *mlp), (_, *cnn) = found(r"(\w+) +([\d,]+) parameters  (\S+)% accuracy", cells)
    assert softmax[0] == 28 * 28 * 10 + 10
    assert mlp[0] > cnn[0]
    assert 80 < softmax[1] < mlp[1] < cnn[1] - 2
    assert [digit for digit, _ in found(r"predicts (\d), probability (\S+)", cells)] == [2, 2, 2]
    answered, wrong = found(r"(\d+) test digits .*, (\d+) of them wrong", cells)[0]
    assert answered > 250
    assert wrong < 0.02 * answered
    assert pictures(*cells) == 7


def your_own_files(cells):
    assert "number: area; category: town (4 values), heating (3 values); boolean: balcony; date: listed" in text(*cells)
    assert "column 'flat_id' is not used" in text(*cells)
    assert "a value unseen in training, treated as missing: Nice" in text(*cells)
    with_area, without_area = found(r"mean absolute error (\d+) with the area, (\d+) without it", cells)[0]
    assert without_area > 4 * with_area
    assert "wrote 2 predictions" in text(*cells)
    assert "[2, 7]" in text(*cells)
    assert pictures(*cells) == 4


LESSONS = {
    "start": start,
    "01_line": line,
    "02_features_or_hidden_layers": features_or_hidden_layers,
    "03_activation_and_depth": activation_and_depth,
    "04_digits": digits,
    "05_your_own_files": your_own_files,
}


NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def lines(cell) -> list[str]:
    """Return the lines that a cell printed, without progress, commands, times and unique names."""
    printed = "".join(o["text"] for o in cell.outputs if o.get("name") == "stdout")
    found = re.sub(r"_[0-9a-f]{6,}\b|\d+\.\d s\b|(?<=[\d,]{3}) +\d\.\d$", "", printed, flags=re.MULTILINE).splitlines()
    return [line.strip() for line in found if not re.match("epoch |command|checkpoint|rank |checking ", line)]


def assert_same(stored, executed) -> None:
    """Compare texts without their numbers in any order, and the numbers of each line approximately."""
    for line, new in itertools.zip_longest(sorted(lines(stored)), sorted(lines(executed)), fillvalue=""):
        assert NUMBER.sub("#", line) == NUMBER.sub("#", new)
        values, found = ([float(v.replace(",", "")) for v in NUMBER.findall(each)] for each in (line, new))
        assert found == pytest.approx(values, rel=0.1, abs=0.1), (line, new)


def test_notebooks_have_their_outputs_and_are_small():
    for path in NOTEBOOKS:
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), path.name
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 3e6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_defines_no_functions_or_classes(path):
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [line for source in cells for line in source.splitlines() if re.match(r"\s*(def|class|async)\b", line)] == []


# On Windows the client of the kernel warns about the event loop.
@pytest.mark.filterwarnings("ignore:Proactor event loop:RuntimeWarning")
@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_the_outputs_that_it_stores_and_describes_and_leaves_no_folder(path):
    named = set(re.findall(rf"from {PACKAGE.name}\.([\w.]+) import", path.read_text(encoding="utf-8")))
    gone = [name for name in sorted(named) if not (PACKAGE / name.replace(".", "/")).with_suffix(".py").exists()]
    if gone:
        pytest.skip(f"it needs {', '.join(gone)}, which is stripped")
    there = sorted(path.parent.rglob("*/"))  # every run makes a folder
    cells = [cell for cell in execute(path).cells if cell.cell_type == "code"]
    LESSONS[path.stem](cells)
    stored = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    for cell, new in zip(stored, cells, strict=True):
        assert_same(cell, new)
    assert sorted(path.parent.rglob("*/")) == there
