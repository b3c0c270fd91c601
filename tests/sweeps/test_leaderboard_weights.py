"""Baselines of weighted samples."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import made
from sklearn.linear_model import LogisticRegression

from kindling.sweeps.leaderboard.baselines.linear import constant, fit_line
from kindling.sweeps.leaderboard.baselines.score import score_baselines
from kindling.tasks.tasks import TASKS


@pytest.fixture
def imbalanced(tmp_path):
    """Write a table of 300 rows with 15 % of the second class; return the overrides to train on it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    frame.assign(y=(x @ [1.5, 1, 0] + rng.normal(size=300) > 2).astype(int)).to_csv(tmp_path / "table.csv", index=False)
    return ["data=csv", f"data.path={tmp_path / 'table.csv'}", "data.target=y"]


def test_balanced_classes_equal_those_of_scikit_learn(imbalanced):
    data = made(*imbalanced, "data.balance=true")
    (x, y), (x_val, _) = data.samples["train"], data.samples["val"]
    weights = data.weights["train"]
    of_class = [weights[y[:, 0] == c] for c in (0, 1)]
    assert all(len(w.unique()) == 1 for w in of_class)
    assert float(of_class[0].sum()) == pytest.approx(float(of_class[1].sum()), rel=1e-5)
    assert float(weights.mean()) == pytest.approx(1)
    line = fit_line(data.model_kwargs(), x, y, weights)
    scikit_learn = LogisticRegression(class_weight="balanced", C=1e4 / len(y), tol=1e-10, max_iter=1000)
    scikit_learn.fit(x.double().numpy(), y[:, 0].numpy())
    np.testing.assert_allclose(line(x_val)[:, 0], scikit_learn.decision_function(x_val.double()), atol=2e-3)


@pytest.mark.parametrize("data", ["data=blobs", "data=diabetes"])
def test_the_best_constant_of_balanced_classes_takes_them_as_equally_frequent(data):
    data = made(data, "data.balance=true")
    y, facts = data.samples["train"][1], data.model_kwargs()
    logits = constant(facts, y, data.weights["train"])
    probabilities = TASKS[facts["task"]].probabilities(logits)
    torch.testing.assert_close(
        probabilities, torch.full_like(probabilities, 1 / max(2, len(logits))), atol=1e-5, rtol=0
    )


def test_the_majority_class_remains_the_baseline_and_its_loss_is_weighted(finished, imbalanced):
    folder = finished(*imbalanced, "data.balance=true", "model=logistic", "epochs=2")
    y = made(*imbalanced).samples["val"][1]
    accuracy = score_baselines(folder, "val/accuracy")["baselines"]["majority class"]["val/accuracy"]
    assert accuracy == pytest.approx(1 - y.mean().item())
    loss = score_baselines(folder, "val/loss")["baselines"]["majority class"]["val/loss"]
    assert loss == pytest.approx(np.log(2), rel=1e-5)
