"""debug=overfit passes for every model and finds faults; tests of the other debug presets."""

import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import rows_of

from kindling import UserError
from kindling.cli.conf import choices
from kindling.data.synthetic import Blobs
from kindling.models.base import Model
from kindling.models.mlp import Deep


class Detached(Deep):
    """No gradient reaches the layers."""

    def forward(self, x):
        return super().forward(x).detach().requires_grad_()


class TwoSoftmaxes(Deep):
    """Returns probabilities instead of logits."""

    def forward(self, x):
        return super().forward(x).softmax(1)


class TwoSigmoids(Deep):
    """Returns probabilities instead of logits."""

    def forward(self, x):
        return super().forward(x).sigmoid()


class Mixed(Deep):
    """Mixes the samples of a batch."""

    def forward(self, x):
        return super().forward(x.mean(0, keepdim=True).expand_as(x))


class Positive(Deep):
    """Has an activation after the last layer."""

    def forward(self, x):
        return super().forward(x).relu()


FAULTS = {
    "no gradient": ("Detached", "blobs"),
    "two softmaxes": ("TwoSoftmaxes", "mnist_sample"),
    "two sigmoids": ("TwoSigmoids", "diabetes"),
    "mixed samples": ("Mixed", "diabetes"),
    "an activation after the last layer": ("Positive", "diabetes"),
}


FAST = ("no gradient", "mixed samples")


@pytest.mark.parametrize(
    ("model", "data"),
    [pytest.param(*fault, id=name, marks=() if name in FAST else pytest.mark.slow) for name, fault in FAULTS.items()],
)
def test_a_fault_is_found(run, model, data):
    assert issubclass(getattr(sys.modules[__name__], model), Model)
    with pytest.raises(UserError, match=r"debug=overfit: the loss on \d samples went from .* Check for a layer"):
        run(f"data={data}", "debug=overfit", f"model._target_=test_overfit_check.{model}", "epochs=600", "lr=0.01")


ONLY = {"cnn": ["mnist_sample"], "towers": ["two_inputs"]}  # models for data of a certain shape
DATA = [name for name in choices("data") if name not in ("csv", "mnist", "fashion_mnist")]
ONLY["realmlp"] = [name for name in DATA if name != "mnist_sample"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "data"), [(model, data) for model in choices("model") for data in ONLY.get(model, DATA)]
)
def test_every_model_passes(run, model, data):
    assert run(f"data={data}", f"model={model}", "debug=overfit")["status"] == "finished"


@pytest.mark.parametrize("model", ["deep", "logistic"])
def test_a_model_that_can_learn_passes_and_the_number_of_steps_is_reported(run, caplog, model):
    with caplog.at_level("INFO", "kindling"):
        result = run("debug=overfit", f"model={model}", "lr=0.02")
    assert result["status"] == "finished"
    assert "debug=overfit: the loss on 8 samples went from" in caplog.text
    assert "the model can learn" in caplog.text


def test_the_samples_have_several_classes_and_can_be_separated_linearly():
    from kindling.callbacks.overfit_check import Overfit

    y = torch.tensor([1.0] * 90 + [0.0] * 10)[:, None]
    data = Blobs()
    data.samples = {"train": (torch.randn(100, 2), y)}
    Overfit().setup(SimpleNamespace(datamodule=data), None, "fit")
    assert (sorted(data.samples["train"][1][:, 0].tolist()), data.batch_size) == ([0.0, 1.0, 1.0], "full")


def test_debug_fast_trains_three_batches(run, tmp_path):
    run("data=ring", "debug=fast")
    assert [row["step"] for row in rows_of(tmp_path / "run")] == ["3"]


def test_debug_profile_writes_the_times_of_functions(run, tmp_path):
    run("debug=profile", "data=blobs")
    text = (tmp_path / "run" / "fit-profile.txt").read_text()
    assert "cumulative time" in text
    assert "training_step" in text
