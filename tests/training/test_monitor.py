"""The monitored value: its direction, its name, and runs without one."""

import json
import logging

import pytest
import stock_modules
import torch
from conftest import PACKAGE, PLAIN, rows_of
from sklearn.metrics import f1_score, precision_score, recall_score

from kindling import UserError
from kindling.cli.monitor import direction, logged_as, split
from kindling.models.linear import Linear
from kindling.tasks.tasks import TASKS
from kindling.training.monitored import mode_of


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        (
            "max",
            "val_acc val/acc val/accuracy val/f1_macro val/auc val/auroc val/mcc val/iou val/dice eval/acc acc",
        ),
        ("max", "val/F1Score val_BinaryAccuracy MulticlassF1Score val/mAP val/mAP@50 val/top5_acc val/kappa val/bleu"),
        ("max", "valid_precision validation.recall accuracy/val val/roc_auc val/r2_score val-map"),
        (
            "min",
            "val/loss val_loss valid/loss loss/val val/mse val/rmse val/mae val/error_rate val/perplexity",
        ),
        ("min", "val/mean_squared_error MeanAbsoluteError val/log_loss val/cross_entropy val/brier_score val/nll"),
        (
            None,
            "val/gap val/accuracy_gap val/neg_mean_squared_error val/false_positive_rate val/inaccuracy val/foo",
        ),
    ],
)
def test_the_direction_of_common_metric_names_is_known_and_of_others_is_not(mode, names):
    assert {name: direction(name) for name in names.split()} == dict.fromkeys(names.split(), mode)


@pytest.mark.parametrize(("name", "stage", "rest"), [
    ("val/loss", "val", "loss"), ("val_top5_acc", "val", "top5_acc"), ("loss/valid", "val", "loss"),
    ("validation.f1", "val", "f1"), ("value_loss", None, "value_loss"), ("loss", None, "loss"), ("test", None, "test"),
])  # fmt: skip
def test_the_stage_of_a_name_is_recognized_in_any_usual_spelling(name, stage, rest):
    assert split(name) == (stage, rest)


def test_a_default_may_be_spelled_differently_if_it_is_unambiguous():
    assert logged_as("val/loss", ["train_loss", "val_loss"]) == "val_loss"
    assert logged_as("val/loss", ["val_loss", "loss/val"]) is None
    assert logged_as("val/acc", ["val_acc"]) is None


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_of_a_task_states_its_direction_and_the_name_agrees(task):
    y = torch.tensor([0, 1, 2]) if task == "multiclass" else torch.tensor([[0.0], [1.0], [1.0]])
    values = TASKS[task].metrics(torch.randn(3, 3 if task == "multiclass" else 1), y)
    declared = TASKS[task].higher_is_better
    assert declared.keys() == values.keys()
    assert {name: direction(f"val/{name}") for name in declared} == {
        n: "max" if up else "min" for n, up in declared.items()
    }


@pytest.mark.parametrize("extra", [[], ["mode=max"]])
def test_a_value_that_a_built_in_model_does_not_have_is_rejected_before_training(run, tmp_path, extra):
    with pytest.raises(
        UserError, match=r"monitor=val/acuracy is not a value of this model: choose val/loss, val/accuracy"
    ):
        run("data=blobs", "monitor=val/acuracy", *extra)
    assert not (tmp_path / "run" / "metrics.csv").exists()


def test_a_value_that_a_callback_logs_can_be_monitored(run):
    callback = "+callbacks.gap={_target_: stock_modules.LogGap}"
    with pytest.raises(UserError, match=r"val/gap is not a value of this model.*mode=min if the model or a callback"):
        run("data=blobs", "monitor=val/gap", callback)
    with pytest.raises(UserError, match=r"monitor=val/rmse was not logged"):  # it is like val/mse, but a common name
        run("data=blobs", "monitor=val/rmse", "mode=min", callback, "epochs=1", folder="other")
    result = run("data=blobs", "monitor=val/gap", "mode=min", callback, "epochs=3", folder="again")
    assert result["score"] == result["metrics"]["val/gap"] == 3.0


def test_a_stock_module_inside_the_package_is_no_built_in_model(monkeypatch):
    monkeypatch.setattr(stock_modules.Logs, "__module__", f"{PACKAGE.name}.models.net")
    assert mode_of("val/loss", None, stock_modules.Logs([2])) == "min"


def test_an_unknown_direction_is_rejected_before_training(stock, tmp_path):
    with pytest.raises(UserError, match=r"monitor=val_foo: its name does not determine .* set mode=max or mode=min"):
        stock("Logs", "monitor=val_foo")
    assert not (tmp_path / "run" / "metrics.csv").exists()


def test_a_name_that_was_not_logged_is_rejected_with_the_logged_names(stock):
    with pytest.raises(UserError, match=r"monitor=val_los was not logged. Logged: val_loss, train_loss\. Set monitor="):
        stock("Logs", "monitor=val_los", "mode=min")


@pytest.mark.parametrize("val", ["val_loss", "valid/loss", "loss/val", "val/loss"])
def test_lightnings_spelling_of_the_validation_loss_is_monitored(stock, tmp_path, val):
    result = stock("Logs", f"+model.val={val}", "+model.rate=3")
    losses = [float(row[val]) for row in rows_of(tmp_path / "run")]
    assert (result["monitor"], result["score"]) == (val, pytest.approx(min(losses)))
    assert result["best_epoch"] == losses.index(min(losses)) + 1
    assert set(result["metrics"]) == {val, "train_loss", "test_loss"}


def test_patience_monitors_the_same_spelling(stock):
    result = stock("Logs", "patience=2", "+model.rate=0", "epochs=9")
    assert (result["epochs"], result["best_epoch"]) == (3, 1)


def test_test_metrics_without_a_stage_or_with_another_one_do_not_replace_others(stock):
    assert set(stock("Logs", "+model.test=loss")["metrics"]) == {"train_loss", "val_loss", "test/loss"}
    shared = stock("Logs", "+model.test=val_loss", folder="shared")
    assert set(shared["metrics"]) == {"train_loss", "val_loss", "test/val_loss"}
    assert shared["metrics"]["val_loss"] == shared["score"]


def test_without_logged_values_there_is_no_score_and_the_last_epoch_is_kept(stock, caplog):
    caplog.set_level(logging.INFO)
    result = stock("TwoOptimizers")
    assert (result["score"], result["monitor"], result["best_epoch"], result["metrics"]) == (None, None, 3, {})
    assert "logs no validation loss, so the last epoch counts as the best, and there is no score" in caplog.text


def test_a_validation_without_a_loss_is_rejected_with_the_logged_names(stock):
    with pytest.raises(
        UserError, match=r"Logs logs no validation loss for monitor=val/loss. Logged: val_x, train_loss"
    ):
        stock("Logs", "+model.val=val_x")


def test_the_direction_comes_from_torchmetrics(stock, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    best = stock("Torchmetrics", "monitor=val_quality", folder="up")
    assert (best["mode"], best["score"]) == ("max", max(float(row["val_quality"]) for row in rows_of(tmp_path / "up")))
    assert "monitor=val_quality: higher is better, according to torchmetrics" in caplog.text
    assert stock("Torchmetrics", "monitor=val_gap", folder="down")["mode"] == "min"


def test_a_direction_inferred_from_the_name_is_logged_and_mode_changes_it(stock, caplog):
    caplog.set_level(logging.INFO)
    assert stock("Logs", "+model.val=val_acc", "monitor=val_acc", folder="a")["mode"] == "max"
    assert "monitor=val_acc: higher is better, according to its name; set mode=... to change this" in caplog.text
    assert stock("Logs", "+model.val=val_acc", "monitor=val_acc", "mode=min", folder="b")["mode"] == "min"


RARE = ["data=csv", "data.target=y", "epochs=4", "batch_size=full"]


@pytest.fixture
def rare(tmp_path):
    """Write 60 samples with 3 positives, all in the training split, and return the overrides to train on them."""
    torch.manual_seed(0)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))  # like the split
    positive = set(order[-3:].tolist())  # training
    lines = [f"{torch.randn(()).item():.3f},{int(i in positive)}" for i in range(60)]
    (tmp_path / "rare.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    return [*RARE, f"data.path={tmp_path / 'rare.csv'}"]


def test_an_undefined_metric_is_null_in_the_result_and_nan_in_the_records(run, rare, tmp_path):
    result = run(*rare)
    assert result["metrics"]["val/auroc"] is None
    assert {row["val/auroc"] for row in rows_of(tmp_path / "run")} == {"nan"}


@pytest.mark.parametrize("extra", [[], ["patience=3"]])
def test_a_monitored_value_that_is_never_defined_is_an_error(run, rare, tmp_path, extra):
    with pytest.raises(UserError, match=r"monitor=val/auroc was undefined \(not a finite number\) in every epoch"):
        run(*rare, "monitor=val/auroc", *extra)
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert (result["status"], result["score"], result["best_epoch"]) == ("failed", None, None)


def test_a_validation_loss_that_is_not_finite_is_diverged(run, tmp_path):
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    lines = [f"{i / 50},{i / 100}" for i in range(50)]
    lines[int(order[5])] = "0.5,1e30"  # the first validation sample
    (tmp_path / "huge.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    result = run("data=csv", f"data.path={tmp_path / 'huge.csv'}", "data.scale_target=none", "epochs=3")
    assert (result["status"], result["metrics"]) == ("diverged", {})
    assert result["diverged"] == "the validation loss was not finite in epoch 1"


def test_a_class_that_neither_occurs_nor_is_predicted_is_excluded_from_the_mean():
    y = torch.tensor([0, 0, 1, 1])
    found = TASKS["multiclass"].metrics(torch.eye(3)[y] * 9, y)
    assert [found[name].item() for name in ("precision", "recall", "f1")] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("seed", range(20))
def test_macro_means_equal_those_of_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    y, preds = (torch.randint(0, 6, (7,), generator=generator) for _ in range(2))
    found = TASKS["multiclass"].metrics(torch.eye(6)[preds] * 9, y)
    for name, function in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        assert found[name].item() == pytest.approx(function(y, preds, average="macro", zero_division=0))


def test_without_positives_their_rates_are_undefined():
    found = TASKS["binary"].metrics(torch.full((4, 1), -1.0), torch.zeros(4, 1))
    assert found["accuracy"] == 1
    assert all(found[name].isnan() for name in ("precision", "recall", "f1", "auroc"))


def test_a_built_in_model_logs_its_losses_under_the_default_names():
    assert logged_as("val/loss", ["train/loss", "val/loss", "val/accuracy"]) == "val/loss"
    assert Linear([2], 1, task="binary").task.higher_is_better["auroc"]


def test_a_value_that_is_logged_by_step_and_epoch_is_one_value():
    assert logged_as("val/loss", ["val_loss", "val_loss_step", "val_loss_epoch"]) == "val_loss_epoch"
    assert logged_as("train/loss", ["train_loss_step", "train_loss_epoch"]) == "train_loss_epoch"
    assert direction("val/1-auc") is None


def test_epochs_without_validation_have_no_validation_values(stock, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    result = stock("Logs", "+trainer.check_val_every_n_epoch=2", "epochs=5")
    assert [bool(row["val_loss"]) for row in rows_of(tmp_path / "run")] == [False, True, False, True, False]
    assert result["best_epoch"] in (2, 4)
    assert "no validation samples" not in caplog.text


def test_the_reason_for_no_monitored_value_is_logged(stock, caplog):
    caplog.set_level(logging.INFO)
    stock("Logs", "+trainer.check_val_every_n_epoch=9", folder="never")
    assert "no epoch was validated, so the last epoch counts as the best" in caplog.text
    stock("Logs", "+trainer.limit_val_batches=0", folder="off")
    assert "validation is disabled, so the last epoch counts as the best" in caplog.text
    with pytest.raises(UserError, match="patience=2 counts validations, but this run has none"):
        stock("Logs", "+trainer.limit_val_batches=0", "patience=2", folder="patience")


def test_a_direction_opposite_to_the_metrics_own_is_logged(run, caplog):
    caplog.set_level(logging.INFO)
    run("data=blobs", "mode=max", "epochs=1")
    assert "mode=max: the epoch with the highest val/loss is the best" in caplog.text


def test_a_callback_with_its_own_monitored_value_needs_its_own_direction(shell):
    args = ["train.py", "data=blobs", "epochs=1", *PLAIN, "callbacks.checkpoints.monitor=val/accuracy"]
    rejected = shell(*args)
    assert (rejected.returncode, "set monitor=val/accuracy for all" in rejected.stderr) == (2, True), rejected.stderr
    shell(*args, "callbacks.checkpoints.mode=max", check=True)


@pytest.mark.parametrize("every", [1, 2])
def test_a_row_has_the_values_logged_in_its_epoch_and_none_of_an_earlier_epoch(stock, tmp_path, every):
    stock("Sometimes", "epochs=4", f"+trainer.check_val_every_n_epoch={every}")
    rows = rows_of(tmp_path / "run")
    assert [row["train/extra"] for row in rows] == ["0.0", "", "2.0", ""]
    assert [float(row["val/mine"]) for row in rows] == [0, 1, 2, 3]
    assert [bool(row["val_loss"]) for row in rows] == [every == 1, True, every == 1, True]
