"""Features against scikit-learn and closed forms, and their recomputation from a checkpoint."""

import pandas as pd
import pytest
import torch
from conftest import PROJECT, compose_config
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler

from kindling import UserError
from kindling.cli.build import build
from kindling.data.preprocessing.features import add_features
from kindling.data.preprocessing.transforms import apply_transform


@pytest.mark.parametrize(("columns", "degree"), [(1, 5), (2, 3), (4, 2), (9, 1)])
def test_polynomial_features_equal_those_of_scikit_learn(columns, degree):
    x = torch.randn(20, columns, dtype=torch.float64)
    expected = PolynomialFeatures(degree, include_bias=False).fit_transform(x.numpy())
    torch.testing.assert_close(add_features(x, "polynomial", degree), torch.from_numpy(expected))


def test_radius_and_product_replace_the_two_columns():
    x = torch.tensor([[3.0, 4.0], [-2.0, 0.5]])
    assert add_features(x, "radius", 2).tolist() == [[5.0], [pytest.approx(4.25**0.5)]]
    assert add_features(x, "product", 2).tolist() == [[12.0], [-1.0]]
    assert add_features(torch.tensor([[1.0, 2.0, 5.0]]), "product", 2).tolist() == [[2.0, 5.0, 10.0]]


@pytest.mark.parametrize(("scale", "scaler"), [("standard", StandardScaler()), ("minmax", MinMaxScaler())])
def test_features_are_computed_before_scaling_and_stored_in_the_checkpoint(run, tmp_path, scale, scaler):
    overrides = ["data=ring", "features=polynomial", "degree=3", f"scale={scale}", "epochs=1", "model=logistic"]
    run(*overrides)
    state = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)["Table"]
    raw = torch.tensor(pd.read_csv(PROJECT / "data/ring_test.csv")[["x", "y"]].to_numpy("float32"))
    data = build(compose_config(*overrides).data)
    data.setup()
    torch.testing.assert_close(apply_transform(raw, state), data.samples["test"][0])

    data = build(compose_config(*overrides, "scale=none").data)  # the same split, unscaled
    data.setup()
    scaler.fit(data.samples["train"][0].double().numpy())
    expected = torch.from_numpy(scaler.transform(add_features(raw.double(), "polynomial", 3).numpy())).float()
    torch.testing.assert_close(apply_transform(raw, state), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "features", "rate"), [("ring", "radius", 0.956), ("xor", "product", 0.964)])
def test_with_the_right_feature_a_logistic_regression_reaches_the_bayes_rate(run, data, features, rate):
    overrides = [f"data={data}", "model=logistic", "lr=0.05"]
    assert run(*overrides, folder="raw")["metrics"]["test/accuracy"] < 0.7
    reached = run(*overrides, f"features={features}", folder="feature")["metrics"]["test/accuracy"]
    assert reached == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize(
    ("shape", "features", "degree", "message"),
    [
        ((2, 1, 8, 8), "radius", 2, "only works with tables, but this data has images"),
        ((2, 1), "product", 2, "would give no features from 1 columns"),
        ((2, 50), "polynomial", 5, "would give more than 10000 features from 50 columns"),
    ],
)
def test_invalid_features_are_rejected(shape, features, degree, message):
    with pytest.raises(UserError, match=message):
        add_features(torch.zeros(shape), features, degree)
