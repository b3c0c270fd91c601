"""The equation of a linear model gives the model's predictions for raw inputs."""

import pytest
import torch
from conftest import built
from sklearn.preprocessing import PolynomialFeatures

from kindling.callbacks.equation import equations, in_units_of_the_data
from kindling.data.preprocessing.features import feature_names
from kindling.data.preprocessing.transforms import apply_transform


@pytest.mark.parametrize(
    "args",
    ["data=dates", "data=dates scale=minmax", "data=dates scale=none", "data=line features=polynomial degree=3"],
)
def test_the_equation_gives_the_predictions_for_raw_inputs(args):
    data, model = built(*args.split(), "model=linear")
    data.setup()
    raw = data.examples.x[:20]
    scaled = apply_transform(raw, data.transform)
    weight, bias = in_units_of_the_data(model.state_dict(), data.transform)
    terms = PolynomialFeatures(3, include_bias=False).fit_transform(raw) if "degree" in args else raw
    with torch.no_grad():
        wanted = model(scaled) * torch.tensor(data.transform["target_std"]) + torch.tensor(
            data.transform["target_shift"]
        )
    found = torch.as_tensor(terms).double() @ weight.T + bias
    torch.testing.assert_close(found.float(), wanted.float(), rtol=1e-4, atol=1e-4)


def test_feature_names_are_in_the_order_of_scikit_learn():
    wanted = PolynomialFeatures(3, include_bias=False).fit(torch.zeros(1, 2)).get_feature_names_out(["a", "b"])
    assert feature_names(["a", "b"], "polynomial", 3) == list(wanted)
    assert feature_names(["a", "b", "c"], "product", 1) == ["a b", "a c", "b c"]
    assert feature_names(["a", "b"], "radius", 1) == ["radius"]


def test_a_line_is_recovered_in_the_units_of_the_data(run):
    (line,) = run("data=line", "model=linear", "lr=0.1", "optimizer=sgd", "epochs=100", "monitor=train/loss")[
        "equation"
    ]
    left, equals, weight, x, sign, bias = line.split()
    assert (left, equals, x, sign) == ("y", "=", "x", "+")
    assert float(weight) == pytest.approx(0.9, abs=0.02)
    assert float(bias) == pytest.approx(0.2, abs=0.03)


def test_an_error_in_the_equation_does_not_end_the_run(run, monkeypatch, caplog):
    monkeypatch.setattr(f"{equations.__module__}.equations", None)
    assert "test/mse" in run("data=line", "model=linear", "epochs=1")["metrics"]
    assert "equation of the model: skipped, TypeError" in caplog.text


def test_equations_are_written_with_signs_and_class_names():
    data, _ = built("data=blobs", "model=linear")
    data.setup()
    weight, bias = torch.tensor([[-1.0, 2.5]]).double(), torch.tensor([-0.25]).double()
    assert equations(weight, bias, data) == ["logit of cloud 1 = -1 x0 + 2.5 x1 - 0.25"]


@pytest.mark.parametrize("args", ["data=ring", "data=mnist_sample model=linear"])
def test_models_with_hidden_layers_and_image_models_have_no_equation(run, args):
    assert "equation" not in run(*args.split(), "epochs=1")
