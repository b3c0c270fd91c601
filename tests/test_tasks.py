"""Losses, metrics and confusion counts against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from kindling.tasks import TASKS

N = 203  # no multiple of any batch size


def close(value, expected):
    assert float(value) == pytest.approx(float(expected), abs=2e-6)


@pytest.mark.parametrize("shift", [0.0, 40.0], ids=["probabilities in (0, 1)", "confident logits"])
def test_binary_metrics_equal_scikit_learn(shift):
    torch.manual_seed(0)
    logits, y = torch.randn(N, 1), (torch.rand(N, 1) > 0.6).float()
    logits += shift * (2 * y - 1) * (torch.rand(N, 1) > 0.3)
    found, counts = TASKS["binary"].metrics(logits, y)
    true, preds, probability = y[:, 0].numpy(), (logits[:, 0] > 0).int().numpy(), logits[:, 0].sigmoid().numpy()
    close(found["accuracy"], sk.accuracy_score(true, preds))
    close(found["precision"], sk.precision_score(true, preds))
    close(found["recall"], sk.recall_score(true, preds))
    close(found["f1"], sk.f1_score(true, preds))
    close(found["auroc"], sk.roc_auc_score(true, probability))
    assert (counts.numpy() == sk.confusion_matrix(true, preds)).all()
    close(TASKS["binary"].loss(logits, y), sk.log_loss(true, logits[:, 0].double().sigmoid().numpy()) if not shift else
          np.logaddexp(0, -(2 * true - 1) * logits[:, 0].numpy()).mean())  # fmt: skip


def test_multiclass_metrics_equal_scikit_learn():
    torch.manual_seed(0)
    logits, y = torch.randn(N, 5), torch.randint(0, 5, (N,))
    found, counts = TASKS["multiclass"].metrics(logits, y)
    true, preds, probability = y.numpy(), logits.argmax(1).numpy(), logits.double().softmax(1).numpy()
    close(found["accuracy"], sk.accuracy_score(true, preds))
    for name, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        close(found[name], function(true, preds, average="macro", zero_division=0))
    close(found["auroc"], sk.roc_auc_score(true, probability, multi_class="ovr"))
    assert (counts.numpy() == sk.confusion_matrix(true, preds)).all()
    close(TASKS["multiclass"].loss(logits, y), sk.log_loss(true, probability))


def test_multilabel_metrics_equal_scikit_learn():
    torch.manual_seed(0)
    logits, y = torch.randn(N, 4), (torch.rand(N, 4) > 0.5).float()
    found, counts = TASKS["multilabel"].metrics(logits, y)
    true, preds = y.int().numpy(), (logits > 0).int().numpy()
    close(found["accuracy"], (true == preds).mean())
    for name, function in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        close(found[name], function(true, preds, average="macro"))
    close(found["auroc"], sk.roc_auc_score(true, logits.sigmoid().numpy(), average="macro"))
    assert counts is None


@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_metrics_equal_scikit_learn(outputs):
    torch.manual_seed(0)
    y = torch.randn(N, outputs)
    preds = y + 0.3 * torch.randn(N, outputs)
    found, _ = TASKS["regression"].metrics(preds, y)
    close(found["mse"], sk.mean_squared_error(y, preds))
    close(found["mae"], sk.mean_absolute_error(y, preds))
    close(found["r2"], sk.r2_score(y, preds))


def test_a_class_that_is_never_predicted_has_precision_zero():
    logits, y = torch.tensor([[-1.0], [-2.0], [-3.0]]), torch.tensor([[1.0], [0.0], [0.0]])
    found, counts = TASKS["binary"].metrics(logits, y)
    assert (float(found["precision"]), float(found["f1"])) == (0.0, 0.0)
    assert counts.tolist() == [[2, 0], [1, 0]]


def test_the_constant_predictor_has_the_entropy_of_the_shares_or_the_variance():
    y = torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert TASKS["binary"].constant_loss(y) == pytest.approx(entropy, abs=1e-6)
    assert TASKS["multiclass"].constant_loss(y[:, 0].long()) == pytest.approx(entropy, abs=1e-6)
    assert TASKS["regression"].constant_loss(y) == pytest.approx(0.1875)
    assert TASKS["binary"].constant_loss(torch.ones(3, 1)) == pytest.approx(0.0, abs=1e-5)
