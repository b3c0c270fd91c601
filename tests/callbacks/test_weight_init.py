"""Initial weights: torch's initialisers, and JSON files."""

import json

import pytest
import torch
from torch import nn

from kindling import UserError
from kindling.callbacks.weight_init import initialise
from kindling.models.cnn import CNN
from kindling.models.linear import Linear
from kindling.models.mlp import Deep


@pytest.mark.parametrize(
    ("name", "bound"),
    [("xavier", (6 / (40 + 50)) ** 0.5), ("kaiming", (6 / 40) ** 0.5)],
)
def test_uniform_schemes_fill_their_interval_and_set_biases_to_zero(name, bound):
    model = Deep([40], 1, task="binary", hidden_sizes=[50])
    initialise(model, name)
    weight = model.net[0].weight
    assert 0.98 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert model.net[0].bias.abs().sum() == 0


def test_zeros_and_normal_do_not_change_batch_norm():
    model = CNN([1, 8, 8], 10, task="multiclass", batch_norm=True)
    initialise(model, "normal")
    assert model.net[0].weight.std().item() == pytest.approx(0.1, rel=0.3)
    initialise(model, "zeros")
    assert all(p.abs().sum() == 0 for m in model.modules() if isinstance(m, nn.Linear) for p in m.parameters())
    assert all((m.weight == 1).all() for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_training_starts_from_a_file_of_weights(run, tmp_path):
    weights = {"net.0.weight": [[0.25, -0.5]], "net.0.bias": [0.125]}
    (tmp_path / "start.json").write_text(json.dumps(weights))
    run("data=blobs", "model=logistic", f"init={tmp_path / 'start.json'}", "lr=0", "optimizer=sgd", "epochs=1")
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert {name: tensor.tolist() for name, tensor in saved.items()} == weights


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "is not a JSON object of names and numbers"),
        ("{", "is not a JSON object of names and numbers"),
        ('{"net.0.weight": "a"}', "is not a JSON object of names and numbers"),
        ('{"net.0.weight": [[1, 2]]}', r"net.0.bias is missing in the file and \[1\] in the model"),
        (
            '{"net.0.weight": [[1, 2, 3]], "net.0.bias": [0]}',
            r"net.0.weight is \[1, 3\] in the file and \[1, 2\] in the model",
        ),
        (
            '{"net.0.weight": [[1, 2]], "net.0.bias": [0], "more": 1}',
            r"the shape of more is \[\] in the file and missing in the model",
        ),
    ],
)
def test_a_file_that_does_not_fit_the_model_is_rejected(tmp_path, content, message):
    (tmp_path / "start.json").write_text(content)
    model = Linear([2], 1, task="binary")
    with pytest.raises(UserError, match=message):
        initialise(model, str(tmp_path / "start.json"))


def test_a_missing_file_is_rejected():
    with pytest.raises(UserError, match=r"init=nowhere.json: no such file"):
        initialise(nn.Linear(1, 1), "nowhere.json")
