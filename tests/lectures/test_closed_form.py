"""The generative classifier equals scikit-learn's discriminant analyses."""

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

from kindling import UserError
from kindling.lectures import closed_form
from kindling.models.probabilities import predict

SETTING = ["+callbacks.closed_form={_target_: " + f"{closed_form.__name__}.Gaussians" + "}"]


def probabilities(run, tmp_path, *args):
    """Return the probabilities of a run with these overrides for the test samples, and the data."""
    from conftest import built, weights_of

    run(*args, "model=logistic", "optimizer=sgd", "lr=0", "epochs=1", *SETTING)
    data, model = built(*args, "model=logistic")
    model.load_state_dict(weights_of(tmp_path / "run"))
    return predict(model, data, data.examples.test[0]), data


def train_samples(data):
    """Return unscaled columns and classes."""
    factor, shift = (torch.tensor(data.transform[name]) for name in ("factor", "shift"))
    x, y = data.samples["train"]
    return (x.double() / factor + shift)[:, :2].numpy(), y.flatten().long().numpy()


@pytest.mark.parametrize("clouds", ["[[-2,2],[2,-2]]", "[[-2,2],[2,-2],[3,3]]"])
def test_with_a_shared_covariance_it_is_linear_discriminant_analysis(run, tmp_path, clouds):
    found, data = probabilities(run, tmp_path, "data=blobs", f"data.centres={clouds}")
    oracle = (
        LinearDiscriminantAnalysis(solver="lsqr").fit(*train_samples(data)).predict_proba(data.examples.test[0].numpy())
    )
    torch.testing.assert_close(found.double(), torch.from_numpy(oracle)[:, -found.shape[1] :], atol=1e-5, rtol=0)


@pytest.mark.parametrize("clouds", ["[[-2,2],[2,-2]]", "[[-2,2],[2,-2],[3,3]]"])
def test_with_a_covariance_per_class_it_is_quadratic_discriminant_analysis(run, tmp_path, clouds):
    args = ["data=blobs", f"data.centres={clouds}", "features=polynomial", "degree=2"]
    found, data = probabilities(run, tmp_path, *args)
    x, y = train_samples(data)
    # scikit-learn divides covariances by N - 1, hence the tolerance below.
    oracle = QuadraticDiscriminantAnalysis(store_covariance=True).fit(x, y)
    expected = torch.from_numpy(oracle.predict_proba(data.examples.test[0].numpy()))
    torch.testing.assert_close(found.double(), expected[:, -found.shape[1] :], atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["data=line", "model=linear"], "requires classes"),
        (["data=blobs", "model=deep"], "requires model=logistic"),
        (["data=ring", "model=logistic", "features=radius"], "features=none"),
    ],
)
def test_unsuitable_models_data_and_features_are_rejected(run, args, message):
    with pytest.raises(UserError, match=message):
        run(*args, "epochs=1", *SETTING)


def test_a_constant_column_is_rejected(run, tmp_path):
    (tmp_path / "t.csv").write_text("a,b,y\n" + "".join(f"{i % 9},36.6,{i % 2}\n" for i in range(40)))
    args = ["data=csv", f"data.path={tmp_path / 't.csv'}", "data.kinds={b: number}", *SETTING]
    with pytest.raises(UserError, match="closed_form cannot use constant columns"):
        run(*args, "model=logistic", "epochs=1")
