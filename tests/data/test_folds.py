"""Cross-validation: every row is validated on exactly once, in parts of equal size and class shares."""

import json

import numpy as np
import pytest
import torch
from conftest import made
from sklearn.model_selection import StratifiedKFold

from kindling import UserError
from kindling.data.base import Data
from kindling.data.examples import Examples

# Nothing is made of the values, so that a row is told by them.
PLAIN = ("scale=none", "data.scale_target=none")


class Rows(Data):
    """Row i has the input i and the class that is given for it."""

    def __init__(self, classes, task="multiclass", own_test=False, **data):
        super().__init__(scale="none", scale_target="none", **data)
        self.classes, self.task, self.own_test = classes, task, own_test

    def load(self):
        x, y = torch.arange(len(self.classes)).float()[:, None], torch.as_tensor(self.classes)
        y = y if self.task == "multiclass" else y.float()[:, None]
        names = [] if self.task == "regression" else [str(k) for k in range(int(y.max()) + 1)]
        return Examples(x, y, self.task, names, test=(x[:3] + 1000, y[:3]) if self.own_test else None)


def rows_of_folds(folds, classes, **options):
    """Of every fold, stage -> the numbers of its rows."""
    every = []
    for fold in range(folds):
        data = Rows(classes, folds=folds, fold=fold, **options)
        data.setup()
        every.append({stage: x.flatten().long().tolist() for stage, (x, _) in data.samples.items()})
    return every


def in_order(parts):
    """The rows of these parts, whatever order they came in."""
    x, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return sorted(torch.cat([x.double(), y.double().reshape(len(x), -1)], 1).tolist())


@pytest.mark.parametrize(
    "words",
    [
        "data=diabetes data.zero_is_missing=[]",
        "data=blobs",
        "data=diabetes data.task=regression data.class_names=null data.zero_is_missing=[]",
    ],
)
def test_every_row_but_the_test_rows_is_validated_on_once(words):
    words = [*words.split(), *PLAIN]
    whole = made(*words)
    folds = [made(*words, "data.folds=5", f"data.fold={fold}") for fold in range(5)]
    for data in folds:
        assert all(torch.equal(a, b) for a, b in zip(data.samples["test"], whole.samples["test"], strict=True))
        assert abs(len(data.samples["val"][1]) - len(folds[0].samples["val"][1])) <= 1
    rest = in_order([whole.samples["train"], whole.samples["val"]])
    assert in_order([data.samples["val"] for data in folds]) == rest
    assert in_order([folds[2].samples["train"], folds[2].samples["val"]]) == rest


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("task", ["multiclass", "binary"])
@pytest.mark.parametrize("folds", [2, 3, 7])
def test_classes_are_shared_out_as_scikit_learn_does(task, folds):
    counts = [101, 17, 5] if task == "multiclass" else [90, 22]
    classes = np.repeat(np.arange(len(counts)), counts)  # sorted: it numbers classes as they come
    found = [rows["val"] for rows in rows_of_folds(folds, classes, task=task, test_share=0.0)]
    oracle = [val for _, val in StratifiedKFold(folds).split(classes, classes)]
    shares = [[np.bincount(classes[val], minlength=len(counts)).tolist() for val in every] for every in (found, oracle)]
    assert shares[0] == shares[1]


def test_test_rows_of_the_set_stay_apart():
    found = rows_of_folds(4, [0, 1] * 10, own_test=True)
    assert sorted(row for rows in found for row in rows["val"]) == list(range(20))
    assert [rows["test"] for rows in found] == [[1000, 1001, 1002]] * 4


def test_folds_are_drawn_by_split_seed_alone():
    classes = [0, 1] * 50
    first = rows_of_folds(3, classes, task="regression")
    assert rows_of_folds(3, classes, task="regression", seed=7, val_share=0.5) == first
    other = rows_of_folds(3, classes, task="regression", split_seed=1)
    assert all(a["val"] != b["val"] for a, b in zip(first, other, strict=True))
    assert first[0]["val"] != sorted(first[0]["val"])


def test_as_many_folds_as_rows_leave_one_out():
    assert [len(rows["val"]) for rows in rows_of_folds(6, [0, 1, 2] * 2, test_share=0.0)] == [1] * 6


@pytest.mark.parametrize(
    ("folds", "fold", "message"),
    [
        (1, 0, r"data.folds=1 cannot be: it must be a whole number from 2"),
        (2.5, 0, r"data.folds=2.5 cannot be"),
        (5, 5, r"data.fold=5 cannot be: of data.folds=5 they are 0 to 4"),
        (5, -1, r"data.fold=-1 cannot be"),
        (None, 2, r"data.fold=2 is one of how many\? Give data.folds"),
        (19, 0, r"data.folds=19 cannot be: without the test rows there are 18"),
    ],
)
def test_folds_that_cannot_be_are_refused(folds, fold, message):
    with pytest.raises(UserError, match=message):
        Rows([0, 1] * 10, folds=folds, fold=fold).setup()


@pytest.mark.slow
def test_a_sweep_takes_all_folds_in_turn(shell, table, tmp_path):
    pytest.importorskip("kindling.sweeps")
    done = shell("train.py", "-m", *table, "model=logistic", "epochs=3", "folds=3", "sweep.name=cv")
    assert done.returncode == 0, done.stderr
    sweep = tmp_path / "runs" / "sweeps" / "cv"
    jobs = json.loads((sweep / "jobs.json").read_text())["jobs"]
    folds = [word for job in jobs for word in job["overrides"] if word.startswith("data.fold")]
    assert sorted(folds) == ["data.fold=0", "data.fold=1", "data.fold=2", *["data.folds=3"] * 3]
    scores = [json.loads((sweep / job["folder"] / "result.json").read_text())["score"] for job in jobs]
    assert len(set(scores)) == 3
