"""Features against scikit-learn and closed forms; in the checkpoint they compute the same from raw rows."""

import pandas as pd
import pytest
import torch
from conftest import PROJECT, compose_config
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler

from kindling import UserError
from kindling.cli.build import build
from kindling.data.features import add_features
from kindling.data.transforms import apply_transform


@pytest.mark.parametrize(("columns", "degree"), [(1, 5), (2, 3), (4, 2), (9, 1)])
def test_polynomial_features_equal_scikit_learn_s(columns, degree):
    x = torch.randn(20, columns, dtype=torch.float64)
    expected = PolynomialFeatures(degree, include_bias=False).fit_transform(x.numpy())
    torch.testing.assert_close(add_features(x, "polynomial", degree), torch.from_numpy(expected))


def test_radius_and_product_replace_the_two_columns():
    x = torch.tensor([[3.0, 4.0], [-2.0, 0.5]])
    assert add_features(x, "radius", 2).tolist() == [[5.0], [pytest.approx(4.25**0.5)]]
    assert add_features(x, "product", 2).tolist() == [[12.0], [-1.0]]
    assert add_features(torch.tensor([[1.0, 2.0, 5.0]]), "product", 2).tolist() == [[2.0, 5.0, 10.0]]


@pytest.mark.parametrize(("scale", "scaler"), [("standard", StandardScaler()), ("minmax", MinMaxScaler())])
def test_features_come_before_scaling_and_stand_in_the_checkpoint(run, tmp_path, scale, scaler):
    words = ["data=ring", "features=polynomial", "degree=3", f"scale={scale}", "epochs=1", "model=logistic"]
    run(*words)
    state = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)["Table"]
    raw = torch.tensor(pd.read_csv(PROJECT / "data/ring_test.csv")[["x", "y"]].to_numpy("float32"))
    data = build(compose_config(*words).data)
    data.setup()
    torch.testing.assert_close(apply_transform(raw, state), data.samples["test"][0])

    data = build(compose_config(*words, "scale=none").data)  # the same split, unscaled
    data.setup()
    scaler.fit(data.samples["train"][0].double().numpy())
    expected = torch.from_numpy(scaler.transform(add_features(raw.double(), "polynomial", 3).numpy())).float()
    torch.testing.assert_close(apply_transform(raw, state), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "features", "rate"), [("ring", "radius", 0.956), ("xor", "product", 0.964)])
def test_one_right_feature_lets_a_logistic_regression_reach_the_bayes_rate(run, data, features, rate):
    words = [f"data={data}", "model=logistic", "lr=0.05"]
    assert run(*words, folder="raw")["metrics"]["test/accuracy"] < 0.7
    reached = run(*words, f"features={features}", folder="feature")["metrics"]["test/accuracy"]
    assert reached == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize(
    ("shape", "features", "degree", "message"),
    [
        ((2, 1, 8, 8), "radius", 2, "is for tables, this data has images"),
        ((2, 1), "product", 2, "would make no columns of 1"),
        ((2, 50), "polynomial", 5, "would make over 10000 columns of 50"),
    ],
)
def test_features_that_make_no_sense_are_refused(shape, features, degree, message):
    with pytest.raises(UserError, match=message):
        add_features(torch.zeros(shape), features, degree)
