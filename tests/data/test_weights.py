"""Weights of samples: class weights (data.balance) and a column of weights (data.weight)."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from conftest import made, needs, rows_of, weights_of

from kindling import UserError
from kindling.tasks import losses
from kindling.tasks.losses import weighted

BINARY = ["bce", "mse", "hinge", "perceptron"]


@pytest.fixture
def imbalanced(tmp_path):
    """Write a table of 300 rows with 15 % of the second class, and weights; return the overrides to train on it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    y = np.where(x @ [1.5, 1, 0] + rng.normal(size=300) > 2, 1, 0)
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(w=rng.integers(4, size=300), y=y)
    frame.to_csv(tmp_path / "imbalanced.csv", index=False)
    return ["data=csv", f"data.path={tmp_path / 'imbalanced.csv'}", "data.target=y"]


@pytest.mark.parametrize("name", BINARY)
def test_a_weighted_loss_is_the_mean_of_weights_times_losses_of_single_samples(name):
    loss, z = losses.LOSSES["binary"][name], torch.randn(20, 1)
    y, w = (torch.rand(20, 1) > 0.5).float(), torch.rand(20)
    single = torch.stack([loss(z[i : i + 1], y[i : i + 1]) for i in range(20)])
    torch.testing.assert_close(weighted(loss, w)(z, y), (w * single).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_weights_equal_those_of_torch(smoothing):
    z, y, classes = torch.randn(50, 3), torch.randint(3, (50,)), torch.tensor([0.2, 3.0, 1.0])
    loss = partial(losses.cross_entropy, smoothing=smoothing)
    w = classes[y]
    expected = (w * F.cross_entropy(z, y, reduction="none", label_smoothing=smoothing)).mean()
    torch.testing.assert_close(weighted(loss, w)(z, y), expected)


@pytest.mark.parametrize("name", ["cross_entropy", "mse", "hinge"])
def test_the_weighted_loss_of_several_models_is_that_of_each(name):
    loss = losses.LOSSES["multiclass"][name]
    z, y, w = torch.randn(4, 30, 3), torch.randint(3, (4, 30)), torch.rand(4, 30)
    together = weighted(torch.func.vmap(loss), w)(z, y)
    torch.testing.assert_close(together, torch.stack([weighted(loss, w[m])(z[m], y[m]) for m in range(4)]))


def test_a_weight_of_two_equals_a_row_that_occurs_twice(run, tmp_path, imbalanced):
    frame = pd.read_csv(tmp_path / "imbalanced.csv")
    frame.loc[frame.index.repeat(frame.w)].drop(columns="w").to_csv(tmp_path / "repeated.csv", index=False)
    common = ["model=linear", "batch_size=full", "epochs=20", "scale=none", "data.val_share=0", "data.test_share=0"]
    run(*imbalanced, "data.weight=w", *common, folder="weights")
    run(*imbalanced, f"data.path={tmp_path / 'repeated.csv'}", *common, folder="rows")
    found, expected = (weights_of(tmp_path / name) for name in ("weights", "rows"))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    found, expected = ([float(row["train/loss"]) for row in rows_of(tmp_path / name)] for name in ("weights", "rows"))
    assert found == pytest.approx(expected, rel=1e-5)


@needs("callbacks/weight_init.py")
def test_weights_act_in_the_losses_of_training_and_validation_alone(run, tmp_path, imbalanced):
    common = ["model=linear", "lr=0", "init=zeros", "epochs=1", *imbalanced]
    found = run(*common, "data.weight=w", folder="weighted")
    plain = run(*common, "data.drop=[w]", folder="plain")
    same = {"val/accuracy", "val/auroc", "test/loss", "test/accuracy", "train/f1"}
    assert {name: found["metrics"][name] for name in same} == {name: plain["metrics"][name] for name in same}
    data = made(*imbalanced, "data.weight=w")
    loss = np.log(2) * data.weights["val"].mean().item()  # all logits are 0
    assert found["metrics"]["val/loss"] == pytest.approx(loss, rel=1e-5)


def test_balance_finds_more_of_a_rare_class(run, imbalanced):
    common = ["model=logistic", "epochs=20", *imbalanced, "data.drop=[w]"]
    plain, balanced = (run(*common, f"data.balance={b}", folder=b)["metrics"] for b in ("false", "true"))
    assert plain["train/recall"] < balanced["train/recall"]
    assert plain["train/precision"] > balanced["train/precision"]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("-1", "has '-1.?0?' in the column 'w' of data.weight, line 2: a weight must be a number of at least 0."),
        ("", "has no value in the column 'w' of data.weight, line 2"),
        ("much", "has 'much' in the column 'w' of data.weight, line 2"),
        ("inf", "has 'inf' in the column 'w' of data.weight, line 2"),
    ],
)
def test_an_invalid_weight_is_named(tmp_path, imbalanced, cell, message):
    frame = pd.read_csv(tmp_path / "imbalanced.csv", dtype=str)
    frame.loc[0, "w"] = cell
    frame.to_csv(tmp_path / "imbalanced.csv", index=False)
    with pytest.raises(UserError, match=message):
        made(*imbalanced, "data.weight=w")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data=csv", "data.path=data/diabetes.csv", "data.target=bmi", "data.balance=true"],
            "needs samples with one class each, but this is task=regression",
        ),
        (["data=ring", "data.balance=0.5"], "data.balance=0.5 is invalid: choose true or false"),
        (["data=diabetes", "data.weight=[age,bmi]"], "data.weight names 2 columns: name one"),
        (["data=diabetes", "data.weight=diabetes"], "data.weight names 'diabetes', which is the target"),
        (["data=diabetes", "data.weight=weight"], "has no column 'weight'"),
    ],
)
def test_options_that_cannot_weight_the_samples_are_rejected(overrides, message):
    with pytest.raises(UserError, match=message):
        made(*overrides)


def test_weights_of_zero_are_rejected(tmp_path, imbalanced):
    frame = pd.read_csv(tmp_path / "imbalanced.csv").assign(w=0)
    frame.to_csv(tmp_path / "imbalanced.csv", index=False)
    with pytest.raises(UserError, match="all training samples have the weight 0"):
        made(*imbalanced, "data.weight=w")
    frame.assign(w=[1] * 200 + [0] * 100, t=range(300)).to_csv(tmp_path / "imbalanced.csv", index=False)
    with pytest.raises(UserError, match="all validation samples have the weight 0"):
        made(*imbalanced, "data.weight=w", "data.time=t")


def test_the_weights_of_validation_have_a_mean_of_one_too(tmp_path, imbalanced):
    frame = pd.read_csv(tmp_path / "imbalanced.csv").assign(t=range(300))
    frame.assign(w=frame.t + 1).to_csv(tmp_path / "imbalanced.csv", index=False)
    weights = made(*imbalanced, "data.weight=w", "data.time=t").weights
    assert [float(weights[stage].mean()) for stage in ("train", "val")] == pytest.approx([1, 1])
    assert float(weights["val"][1] / weights["val"][0]) == pytest.approx(242 / 241)


def test_the_last_column_is_the_target_unless_it_is_the_weight(tmp_path, imbalanced):
    frame = pd.read_csv(tmp_path / "imbalanced.csv")
    frame[["a", "b", "c", "y", "w"]].to_csv(tmp_path / "imbalanced.csv", index=False)
    assert made(*imbalanced[:2], "data.weight=w").examples.targets == ["y"]


def test_a_loss_that_has_no_value_for_single_samples_is_rejected(run, imbalanced):
    loss = "loss={_target_: test_weights.of_all, _partial_: true}"
    with pytest.raises(UserError, match=r"data\.balance and data\.weight need the loss of each sample"):
        run(*imbalanced, "data.weight=w", loss, "epochs=1")


def of_all(logits, y):
    """Return a loss that torch.func.vmap cannot compute, because it depends on a value."""
    return logits.mean() if logits.sum().item() > 0 else logits.std()


def test_a_loss_that_depends_on_the_other_samples_of_the_batch_is_rejected(run, imbalanced):
    loss = "loss={_target_: test_weights.with_positive_weight, _partial_: true}"
    with pytest.raises(UserError, match="depends on the other samples of the batch"):
        run(*imbalanced, "data.weight=w", loss, "epochs=1")


def with_positive_weight(logits, y):
    return F.binary_cross_entropy_with_logits(logits, y, pos_weight=len(y) / (1 + y.sum()))


def test_another_module_is_rejected_instead_of_ignoring_the_weights(stock):
    with pytest.raises(UserError, match="act in the losses of Kindling's models, not in Logs"):
        stock("Logs", "data.balance=true")
