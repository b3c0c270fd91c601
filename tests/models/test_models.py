"""Models: sizes, activations, invalid arguments, and training on every task."""

from functools import partial

import pytest
import torch
from torch import nn

from kindling import UserError
from kindling.activations import ACTIVATIONS, REJECTED, canonical
from kindling.models.activation_modules import activation_module
from kindling.models.base import Model
from kindling.models.cnn import CNN
from kindling.models.linear import Linear
from kindling.models.mlp import Deep, WideDeep
from kindling.tasks.tasks import TASKS


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_the_courses_fixed_net_has_751_parameters():
    assert parameters(Deep([2], 1, task="binary", hidden_sizes=[25, 25])) == 751


def test_depth_and_width_give_the_expected_number_of_parameters():
    assert parameters(Deep([8], 1, task="binary", depth=3, width=5)) == (8 * 5 + 5) + 2 * (5 * 5 + 5) + (5 + 1)
    assert parameters(Linear([1, 28, 28], 10, task="multiclass")) == 7850


def test_wide_and_deep_logits_are_added():
    model, x = WideDeep([4], 3, task="multiclass"), torch.randn(6, 4)
    torch.testing.assert_close(model(x), model.wide(x) + model.deep(x))


def test_wide_has_one_layer_of_256_units_or_of_the_given_width():
    from conftest import compose_config

    from kindling.cli.build import build

    facts = {"input_shape": [8], "num_outputs": 1, "task": "binary", "class_names": ["no", "yes"]}
    assert parameters(build(compose_config("model=wide").model, **facts)) == 8 * 256 + 256 + 257
    assert parameters(build(compose_config("model=wide", "width=10").model, **facts)) == 8 * 10 + 10 + 11


def test_a_cnn_without_pooling_keeps_the_size():
    model = CNN([1, 8, 8], 10, task="multiclass", channels=[4], kernel_size=5, pool="none", hidden_sizes=[7])
    assert parameters(model) == (25 * 4 + 4) + (4 * 64 * 7 + 7) + (7 * 10 + 10)


def test_a_cnn_rejects_tables_and_too_many_pooling_layers():
    with pytest.raises(UserError, match="use model=deep, wide, wide_deep or logistic"):
        CNN([8], 1, task="binary")
    with pytest.raises(UserError, match=r"shorten model.channels, or set model.pool=none"):
        CNN([1, 8, 8], 10, task="multiclass", channels=[4, 4, 4, 4])


def test_every_element_wise_activation_of_torch_is_available():
    element_wise = set()
    for name in nn.modules.activation.__all__:
        try:
            module = getattr(nn, name)()
            x = torch.linspace(-3, 3, 6)
            # Changing one input changes no other output.
            out, moved = module(x), module(x + torch.tensor([1.0, 0, 0, 0, 0, 0]))
        except (TypeError, RuntimeError, IndexError, ValueError, UserWarning):
            continue  # needs arguments or more dimensions, so it is not an element-wise function of one tensor
        if out.shape == x.shape and torch.equal(out[1:], moved[1:]):
            element_wise.add(name)
    element_wise |= {"RReLU", "Threshold"}  # random in training; has no default arguments
    assert {entry[0] for entry in ACTIVATIONS.values()} == element_wise | {"Step", "Sign", "Identity"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_trains_a_step(name):
    model = Deep([3], 1, task="binary", activation=name, depth=2, width=4)
    model(torch.randn(5, 3)).sum().backward()
    assert model.net[-1].weight.grad is not None


def test_step_and_sign_have_the_expected_values():
    x = torch.tensor([-2.0, 0.0, 3.0])
    assert activation_module("step")(x).tolist() == [0.0, 0.0, 1.0]
    assert activation_module("sign")(x).tolist() == [-1.0, 0.0, 1.0]


def test_every_prelu_has_its_own_slope():
    slopes = [m for m in Deep([3], 1, task="binary", activation="prelu", depth=3).modules() if isinstance(m, nn.PReLU)]
    assert len({id(slope.weight) for slope in slopes}) == 3


@pytest.mark.parametrize("name", REJECTED)
def test_activations_that_are_not_element_wise_are_rejected_with_the_reason(name):
    with pytest.raises(UserError, match=r"mixes the units|halves the width"):
        canonical(name)


def test_aliases_are_known_and_misspelt_names_get_a_suggestion():
    assert (canonical("Swish"), canonical("ReLU"), canonical("leakyrelu")) == ("silu", "relu", "leaky_relu")
    with pytest.raises(UserError, match=r"Did you mean relu\?"):
        canonical("rellu")


def test_batch_norm_comes_before_every_hidden_activation():
    for model in (Deep([8], 1, task="binary", batch_norm=True), CNN([1, 8, 8], 10, task="multiclass", batch_norm=True)):
        kinds = [type(layer) for layer in model.net]
        norms = [i for i, kind in enumerate(kinds) if kind in (nn.BatchNorm1d, nn.BatchNorm2d)]
        assert [i + 1 for i in norms] == [i for i, kind in enumerate(kinds) if kind is nn.ReLU]


@pytest.fixture
def fifty_one(tmp_path):
    """Return the overrides for a data set of 51 training samples."""
    rows = "\n".join(f"{i / 9},{i % 2}" for i in range(51))
    (tmp_path / "51.csv").write_text(f"x,y\n{rows}\n")
    own = ["data=csv", f"data.path={tmp_path / '51.csv'}", "data.val_share=0", "data.test_share=0"]
    return [*own, "batch_norm=true", "epochs=1"]


@pytest.mark.parametrize(("size", "passes"), [(50, 1), (38, 3), (1, 1)])
def test_batch_norm_rejects_a_batch_of_one_sample_before_training(run, fifty_one, size, passes):
    message = rf"batch_size={size} leaves a batch of 1 \({51 * passes} samples an epoch\)"
    with pytest.raises(UserError, match=message):
        run(*fifty_one, f"batch_size={size}", f"data.passes={passes}")


@pytest.mark.parametrize(("size", "passes"), [(51, 1), (50, 2), ("full", 1)])
def test_batch_norm_trains_if_no_batch_has_one_sample(run, fifty_one, size, passes):
    assert run(*fifty_one, f"batch_size={size}", f"data.passes={passes}")["status"] == "finished"


@pytest.mark.slow
def test_batch_norm_checks_the_batch_of_each_process(fifty_one, shell):
    rejected = shell("train.py", *fifty_one, "batch_size=48", "trainer=ddp_cpu")
    assert rejected.returncode == 2
    assert "leaves a batch of 3 shared among 2 processes" in rejected.stderr


def test_a_model_is_abstract_until_it_has_forward():
    with pytest.raises(TypeError, match="abstract"):
        Model(task="binary")


def tiny(task, shape):
    """Return 16 samples for a task."""
    torch.manual_seed(0)
    x = torch.randn(16, *shape)
    return x, {
        "binary": (torch.arange(16) % 2).float()[:, None],
        "multiclass": torch.arange(16) % 4,
        "multilabel": torch.stack([torch.arange(16) % 2, torch.arange(16) // 8], 1).float(),
        "regression": torch.randn(16, 1),
    }[task]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("cls", "shape"),
    [(Linear, [24]), (Deep, [24]), (partial(Deep, depth=1, width=256), [24]), (WideDeep, [24]), (Linear, [1, 8, 8]),
     (Deep, [1, 8, 8]), (WideDeep, [1, 8, 8]), (CNN, [1, 8, 8])],
    ids=["linear", "deep", "wide", "wide_deep", "linear-images", "deep-images", "wide_deep-images", "cnn-images"],
)  # fmt: skip
def test_every_model_fits_a_tiny_data_set_of_every_task(cls, shape, task):
    x, y = tiny(task, shape)
    torch.manual_seed(1)
    num_outputs = 4 if task == "multiclass" else y.shape[1]
    model = cls(shape, num_outputs, task=task, optimizer=partial(torch.optim.Adam, lr=0.02))
    optimizer = model.configure_optimizers()
    for _ in range(400):
        optimizer.zero_grad()
        loss = model.loss(model(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


def test_without_an_optimizer_training_is_rejected():
    with pytest.raises(UserError, match="has no optimizer"):
        Linear([2], 1, task="binary").configure_optimizers()
