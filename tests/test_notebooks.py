"""Every notebook runs from top to bottom in its own kernel, and its outputs agree with its text."""

import re

import nbformat
import pytest
from conftest import PROJECT
from nbclient import NotebookClient

PACKAGE = next((PROJECT / "src").glob("*/__init__.py")).parent
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


def executed(path) -> list:
    """Execute a notebook, and return the code cells with their outputs."""
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=folder).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


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
        (name, kind): share / 100 for name, kind, share in found(r"(\w+) +(.*?)  +.* (\S+)% of the test", cells)
    }
    raw = [share for (_, kind), share in accuracy.items() if kind == "raw columns, logistic"]
    best = {"ring": 0.956, "xor": 0.964, "spiral": 1.0}  # limited by label noise
    assert len(accuracy) == 9
    assert max(raw) < 0.7
    for (name, kind), share in accuracy.items():
        if kind != "raw columns, logistic":
            assert best[name] - 0.06 < share < best[name] + 0.01
    assert pictures(*cells) == 4


def activation_and_depth(cells):
    assert found(r"(sigmoid|relu) +steepest (\S+),", cells) == [["sigmoid", 0.25], ["relu", 1.0]]
    ratio = {(name, init): value for name, init, value in found(r"(\w+), (\w+) start .* last (\S+)", cells)}
    assert ratio["sigmoid", "default"] < 0.25**12
    assert min(ratio["relu", "kaiming"], ratio["tanh", "xavier"]) > 0.05
    ranked = {(name, depth): loss for name, depth, loss in found(r"\n\d+ +(\w+) +(\d) +(\S+) \S+ 0\.\d+", cells)}
    assert len(ranked) == 12
    assert min(ranked["sigmoid", 4], ranked["sigmoid", 8]) > 0.65 > 0.45 > max(ranked["tanh", 8], ranked["relu", 8])
    ill, well = found(r"(ill|well) +val/loss (\S+)", cells)
    assert ill[1] > well[1] + 0.2
    if (PACKAGE / "doctor").exists():
        assert re.search("gradient vanishes.*activation=relu init=kaiming", text(cells[-1]))
    assert pictures(*cells) == 3


def digits(cells):
    (_, *softmax), (_, *mlp), (_, *cnn) = found(r"(\w+) +([\d,]+) parameters  (\S+)% right", cells)
    assert softmax[0] == 28 * 28 * 10 + 10
    assert mlp[0] > cnn[0]
    assert 80 < softmax[1] < mlp[1] < cnn[1] - 2
    assert [digit for digit, _ in found(r"reads (\d), probability (\S+)", cells)] == [2, 2, 2]
    predicted, wrong = found(r"(\d+) test digits .*, (\d+) of them wrong", cells)[0]
    assert predicted > 250
    assert wrong < 0.02 * predicted
    assert pictures(*cells) == 7


LESSONS = {
    "start": start,
    "01_line": line,
    "02_features_or_hidden_layers": features_or_hidden_layers,
    "03_activation_and_depth": activation_and_depth,
    "04_digits": digits,
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_defines_no_functions_or_classes(path):
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [line for source in cells for line in source.splitlines() if re.match(r"\s*(def|class|async)\b", line)] == []


# On Windows the client of the kernel warns about the event loop.
@pytest.mark.filterwarnings("ignore:Proactor event loop:RuntimeWarning")
@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_with_the_stated_results_and_leaves_no_folder_behind(path):
    imported = set(re.findall(rf"from {PACKAGE.name}\.([\w.]+) import", path.read_text(encoding="utf-8")))
    missing = [name for name in sorted(imported) if not (PACKAGE / name.replace(".", "/")).with_suffix(".py").exists()]
    if missing:
        pytest.skip(f"it needs {', '.join(missing)}, which is stripped")
    before = sorted(path.parent.rglob("*/"))  # every run creates a folder
    LESSONS[path.stem](executed(path))
    assert sorted(path.parent.rglob("*/")) == before
