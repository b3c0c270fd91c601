"""Losses, metrics and confusion counts against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from kindling import UserError
from kindling.models.linear import Linear
from kindling.tasks.losses import LOSSES
from kindling.tasks.metrics import auroc
from kindling.tasks.tasks import TASKS

N = 203  # not a multiple of any batch size


def close(value, expected):
    assert float(value) == pytest.approx(float(expected), abs=2e-6)


@pytest.mark.parametrize("shift", [0.0, 40.0, 400.0], ids=["probabilities in (0, 1)", "confident", "very confident"])
def test_binary_metrics_equal_scikit_learn(shift):
    torch.manual_seed(0)
    logits, y = torch.randn(N, 1), (torch.rand(N, 1) > 0.6).float()
    logits += shift * (2 * y - 1) * (torch.rand(N, 1) > 0.3)
    found, counts = TASKS["binary"].metrics(logits, y), TASKS["binary"].confusion(logits, y)
    true, preds = y[:, 0].numpy(), (logits[:, 0] > 0).int().numpy()
    close(found["accuracy"], sk.accuracy_score(true, preds))
    close(found["precision"], sk.precision_score(true, preds))
    close(found["recall"], sk.recall_score(true, preds))
    close(found["f1"], sk.f1_score(true, preds))
    close(found["auroc"], sk.roc_auc_score(true, logits[:, 0].numpy()))
    assert (counts.numpy() == sk.confusion_matrix(true, preds)).all()
    expected = np.logaddexp(0, -(2 * true - 1) * logits[:, 0].numpy()).mean()
    close(TASKS["binary"].loss()(logits, y), expected)


def test_auroc_of_a_group_of_models_counts_the_ties_of_each():
    torch.manual_seed(0)
    scores, y = torch.randn(3, 2, N), (torch.rand(3, 2, N) > 0.4).float()
    scores[1] = scores[1].round()  # the scores of other models have no ties
    scores[2, 0] = 0.0
    found = auroc(scores, y)
    assert found.shape == (3, 2)
    for index in np.ndindex(3, 2):
        expected = sk.roc_auc_score(y[index].numpy(), scores[index].numpy())
        assert found[index].item() == pytest.approx(expected, abs=1e-12)
        assert auroc(scores[index], y[index]) == found[index]


def test_multiclass_metrics_equal_scikit_learn():
    torch.manual_seed(0)
    logits, y = torch.randn(N, 5), torch.randint(0, 5, (N,))
    found, counts = TASKS["multiclass"].metrics(logits, y), TASKS["multiclass"].confusion(logits, y)
    true, preds, probability = y.numpy(), logits.argmax(1).numpy(), logits.double().softmax(1).numpy()
    close(found["accuracy"], sk.accuracy_score(true, preds))
    for name, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        close(found[name], function(true, preds, average="macro", zero_division=0))
    close(found["auroc"], sk.roc_auc_score(true, probability, multi_class="ovr"))
    assert (counts.numpy() == sk.confusion_matrix(true, preds)).all()
    close(TASKS["multiclass"].loss()(logits, y), sk.log_loss(true, probability))


def test_multilabel_metrics_equal_scikit_learn():
    torch.manual_seed(0)
    logits, y = torch.randn(N, 4), (torch.rand(N, 4) > 0.5).float()
    found, counts = TASKS["multilabel"].metrics(logits, y), TASKS["multilabel"].confusion(logits, y)
    true, preds = y.int().numpy(), (logits > 0).int().numpy()
    close(found["accuracy"], (true == preds).mean())
    for name, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        close(found[name], function(true, preds, average="macro"))
    for name, average in (("auroc", "macro"), ("auroc_micro", "micro")):
        close(found[name], sk.roc_auc_score(true, logits.sigmoid().numpy(), average=average))
    assert counts is None


def test_multilabel_areas_of_a_group_of_models_are_those_of_each():
    torch.manual_seed(0)
    logits, y = torch.randn(3, N, 4).round(decimals=1), (torch.rand(N, 4) > torch.tensor([0.2, 0.5, 0.9, 0.95])).float()
    grouped = TASKS["multilabel"].metrics(logits, y)
    for member, scores in enumerate(logits.numpy()):
        for name, average in (("auroc", "macro"), ("auroc_micro", "micro")):
            close(grouped[name][member], sk.roc_auc_score(y.numpy(), scores, average=average))
    one_class = TASKS["multilabel"].metrics(logits, torch.zeros(N, 4))
    assert one_class["auroc_micro"].isnan().all()  # undefined, not 0


@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_metrics_equal_scikit_learn(outputs):
    torch.manual_seed(0)
    y = torch.randn(N, outputs)
    preds = y + 0.3 * torch.randn(N, outputs)
    found = TASKS["regression"].metrics(preds, y)
    close(found["mse"], sk.mean_squared_error(y, preds))
    close(found["mae"], sk.mean_absolute_error(y, preds))
    close(found["r2"], sk.r2_score(y, preds))


def test_a_class_that_is_never_predicted_has_precision_zero():
    logits, y = torch.tensor([[-1.0], [-2.0], [-3.0]]), torch.tensor([[1.0], [0.0], [0.0]])
    found, counts = TASKS["binary"].metrics(logits, y), TASKS["binary"].confusion(logits, y)
    assert (float(found["precision"]), float(found["f1"])) == (0.0, 0.0)
    assert counts.tolist() == [[2, 0], [1, 0]]


def test_the_loss_of_the_constant_predictor_is_the_entropy_or_the_variance():
    def constant_loss(name, y):
        task = TASKS[name]
        return task.loss()(task.constant_logits(y).expand(len(y), -1), y).item()

    y = torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert constant_loss("binary", y) == pytest.approx(entropy, abs=1e-6)
    assert constant_loss("multiclass", y[:, 0].long()) == pytest.approx(entropy, abs=1e-6)
    assert constant_loss("regression", y) == pytest.approx(0.1875)
    assert constant_loss("binary", torch.ones(3, 1)) == pytest.approx(0.0, abs=1e-5)


def test_two_class_losses_equal_their_formula_and_scikit_learn():
    torch.manual_seed(0)
    logits, y = torch.randn(N, 1), (torch.rand(N, 1) > 0.6).float()
    true, f = y[:, 0].int().numpy(), logits[:, 0].double().numpy()
    losses, sign = LOSSES["binary"], 2 * true - 1
    close(losses["bce"](logits, y), sk.log_loss(true, 1 / (1 + np.exp(-f))))
    close(losses["mse"](logits, y), sk.brier_score_loss(true, 1 / (1 + np.exp(-f))))
    close(losses["hinge"](logits, y), sk.hinge_loss(true, f))
    close(losses["perceptron"](logits, y), np.maximum(0, -sign * f).mean())
    smooth = np.where(true == 1, 0.9, 0.1)
    close(losses["bce"](logits, y, 0.2), (np.logaddexp(0, f) - smooth * f).mean())


def test_class_losses_equal_their_formula_and_scikit_learn():
    torch.manual_seed(0)
    logits, y = torch.randn(N, 4), torch.randint(0, 4, (N,))
    losses, f, true = LOSSES["multiclass"], logits.double().numpy(), y.numpy()
    probability = np.exp(f) / np.exp(f).sum(1, keepdims=True)
    correct = f[np.arange(N), true]
    best_other = np.where(np.eye(4)[true] == 1, -np.inf, f).max(1)
    close(losses["hinge"](logits, y), sk.hinge_loss(true, f))
    close(losses["perceptron"](logits, y), np.maximum(0, best_other - correct).mean())
    close(losses["mse"](logits, y), ((probability - np.eye(4)[true]) ** 2).mean())
    smooth = 0.9 * np.eye(4)[true] + 0.1 / 4
    close(losses["cross_entropy"](logits, y, 0.1), -(smooth * np.log(probability)).sum(1).mean())


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_a_perceptron_of_zeros_learns(task):
    model = Linear([3], 3 if task != "binary" else 1, task=task, loss="perceptron")
    torch.nn.init.zeros_(model.net[0].weight)
    torch.nn.init.zeros_(model.net[0].bias)
    x, y = torch.ones(2, 3), torch.tensor([0, 1]) if task == "multiclass" else torch.ones(2, model.net[0].out_features)
    model.loss(model(x), y).backward()
    assert model.net[0].bias.grad.abs().sum() > 0


def test_a_loss_that_does_not_fit_its_task_is_rejected():
    with pytest.raises(UserError, match="loss=hinge does not fit task=regression: choose mse"):
        Linear([2], 1, task="regression", loss="hinge")
    with pytest.raises(UserError, match=r"label_smoothing=0.1 only works with loss=bce or cross_entropy"):
        Linear([2], 1, task="binary", loss="hinge", label_smoothing=0.1)
