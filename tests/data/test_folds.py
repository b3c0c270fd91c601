"""Cross-validation: every sample is validated on exactly once, in stratified parts of equal size."""

import json

import numpy as np
import pytest
import torch
from conftest import made
from sklearn.model_selection import StratifiedKFold

from kindling import UserError
from kindling.data.base import Data
from kindling.data.examples import Examples

# The values stay unscaled, so that they identify the samples.
PLAIN = ("scale=none", "data.scale_target=none")


class Numbered(Data):
    """Sample i has the input i and the i-th of the given classes."""

    def __init__(self, classes, task="multiclass", own_test=False, **data):
        super().__init__(scale="none", scale_target="none", **data)
        self.classes, self.task, self.own_test = classes, task, own_test

    def load(self):
        x, y = torch.arange(len(self.classes)).float()[:, None], torch.as_tensor(self.classes)
        y = y if self.task == "multiclass" else y.float()[:, None]
        names = [] if self.task == "regression" else [str(k) for k in range(int(y.max()) + 1)]
        return Examples(x, y, self.task, names, test=(x[:3] + 1000, y[:3]) if self.own_test else None)


def samples_of_folds(folds, classes, **options):
    """Return stage -> numbers of its samples, for every fold."""
    found = []
    for fold in range(folds):
        data = Numbered(classes, folds=folds, fold=fold, **options)
        data.setup()
        found.append({stage: x.flatten().long().tolist() for stage, (x, _) in data.samples.items()})
    return found


def in_order(parts):
    """Return the samples of several parts in sorted order."""
    x, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return sorted(torch.cat([x.double(), y.double().reshape(len(x), -1)], 1).tolist())


@pytest.mark.parametrize(
    "overrides",
    [
        "data=diabetes data.zero_is_missing=[]",
        "data=blobs",
        "data=diabetes data.task=regression data.class_names=null data.zero_is_missing=[]",
    ],
)
def test_every_sample_except_test_samples_is_validated_on_once(overrides):
    overrides = [*overrides.split(), *PLAIN]
    whole = made(*overrides)
    folds = [made(*overrides, "data.folds=5", f"data.fold={fold}") for fold in range(5)]
    for data in folds:
        assert all(torch.equal(a, b) for a, b in zip(data.samples["test"], whole.samples["test"], strict=True))
        assert abs(len(data.samples["val"][1]) - len(folds[0].samples["val"][1])) <= 1
    rest = in_order([whole.samples["train"], whole.samples["val"]])
    assert in_order([data.samples["val"] for data in folds]) == rest
    assert in_order([folds[2].samples["train"], folds[2].samples["val"]]) == rest


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("task", ["multiclass", "binary"])
@pytest.mark.parametrize("folds", [2, 3, 7])
def test_classes_are_distributed_as_in_scikit_learn(task, folds):
    counts = [101, 17, 5] if task == "multiclass" else [90, 22]
    classes = np.repeat(np.arange(len(counts)), counts)  # sorted, because scikit-learn numbers classes in their order
    found = [samples["val"] for samples in samples_of_folds(folds, classes, task=task, test_share=0.0)]
    oracle = [val for _, val in StratifiedKFold(folds).split(classes, classes)]
    shares = [[np.bincount(classes[val], minlength=len(counts)).tolist() for val in every] for every in (found, oracle)]
    assert shares[0] == shares[1]


def test_separate_test_samples_stay_separate():
    found = samples_of_folds(4, [0, 1] * 10, own_test=True)
    assert sorted(number for samples in found for number in samples["val"]) == list(range(20))
    assert [samples["test"] for samples in found] == [[1000, 1001, 1002]] * 4


def test_folds_only_depend_on_split_seed():
    classes = [0, 1] * 50
    first = samples_of_folds(3, classes, task="regression")
    assert samples_of_folds(3, classes, task="regression", seed=7, val_share=0.5) == first
    other = samples_of_folds(3, classes, task="regression", split_seed=1)
    assert all(a["val"] != b["val"] for a, b in zip(first, other, strict=True))
    assert first[0]["val"] != sorted(first[0]["val"])


def test_as_many_folds_as_samples_is_leave_one_out():
    assert [len(samples["val"]) for samples in samples_of_folds(6, [0, 1, 2] * 2, test_share=0.0)] == [1] * 6


@pytest.mark.parametrize(
    ("folds", "fold", "message"),
    [
        (1, 0, r"data.folds=1 is invalid: it must be an integer of at least 2"),
        (2.5, 0, r"data.folds=2.5 is invalid"),
        (5, 5, r"data.fold=5 is invalid: with data.folds=5 it must be from 0 to 4"),
        (5, -1, r"data.fold=-1 is invalid"),
        (None, 2, r"data.fold=2 needs data.folds=..., the number of folds"),
        (19, 0, r"data.folds=19 is invalid: there are only 18 samples without"),
    ],
)
def test_invalid_folds_are_rejected(folds, fold, message):
    with pytest.raises(UserError, match=message):
        Numbered([0, 1] * 10, folds=folds, fold=fold).setup()


@pytest.mark.slow
def test_a_sweep_trains_on_all_folds(shell, table, tmp_path):
    pytest.importorskip("kindling.sweeps")
    done = shell("train.py", "-m", *table, "model=logistic", "epochs=3", "folds=3", "sweep.name=cv")
    assert done.returncode == 0, done.stderr
    sweep = tmp_path / "runs" / "sweeps" / "cv"
    jobs = json.loads((sweep / "jobs.json").read_text())["jobs"]
    folds = [override for job in jobs for override in job["overrides"] if override.startswith("data.fold")]
    assert sorted(folds) == ["data.fold=0", "data.fold=1", "data.fold=2", *["data.folds=3"] * 3]
    scores = [json.loads((sweep / job["folder"] / "result.json").read_text())["score"] for job in jobs]
    assert len(set(scores)) == 3
