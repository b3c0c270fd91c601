"""RealMLP equals a plain PyTorch implementation of the paper's TD-S variant, and its parts work in other models."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import built, compose_config, needs, rows_of, slow_after, weights_of
from torch import nn

from kindling.models.parameter_groups import lr_factor_of_each, main_factor

PRECISE = ["trainer=cpu", "precision=64-true", "test=false"]
TABLE = ["data=csv", "data.path=data/diabetes.csv", "model=realmlp"]


class Layer(nn.Module):
    """The paper's linear layer, with the weights of Kindling's."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())

    def forward(self, x):
        return x @ self.weight / math.sqrt(self.weight.shape[0]) + self.bias


class Reference(nn.Module):
    def __init__(self, state, activation):
        super().__init__()
        names = sorted({name.rpartition(".")[0] for name in state if name.endswith("weight")})
        self.scale = nn.Parameter(torch.ones(len(state["net.0.scale"]), dtype=torch.float64))
        self.layers = nn.ModuleList(Layer(state[f"{name}.weight"], state[f"{name}.bias"]) for name in names)
        self.activation = activation

    def forward(self, x):
        x = x * self.scale
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


def reference_losses(overrides, classes, lr):
    """Train as in the paper, and return the validation loss and error after every epoch, and the weights of each."""
    data, model = built(*overrides)
    state = {name: tensor.double() for name, tensor in model.state_dict().items()}
    net = Reference(state, F.selu if classes else F.mish)
    loss = F.cross_entropy if classes else F.mse_loss
    (x, y), (val_x, val_y) = data.samples["train"], data.samples["val"]
    y, val_y = (t.flatten().long() if classes else t.double() for t in (y, val_y))
    optimizer = torch.optim.Adam(
        [
            {"params": [net.scale]},
            {"params": [layer.weight for layer in net.layers]},
            {"params": [layer.bias for layer in net.layers]},
        ],
        betas=(0.9, 0.95),
    )
    epochs, batches, losses, errors, weights = compose_config(*overrides).epochs, len(y) // 256, [], [], []
    loader = data.train_dataloader()
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        order, _ = loader.draw()
        for i in range(batches):
            t = (epoch * batches + i) / (epochs * batches)
            rate = lr * (0.5 - 0.5 * math.cos(2 * math.pi * math.log2(1 + 15 * t)))
            for group, factor in zip(optimizer.param_groups, (6, 1, 0.1), strict=True):
                group["lr"] = rate * factor
            batch = order[i * 256 : (i + 1) * 256]
            optimizer.zero_grad()
            smoothing = {"label_smoothing": 0.1} if classes else {}
            loss(net(x[batch].double()), y[batch], **smoothing).backward()
            optimizer.step()
        with torch.no_grad():
            out = net(val_x.double())
            losses.append(loss(out, val_y).item())
            errors.append((out.argmax(1) != val_y).double().mean().item() if classes else losses[-1])
            weights.append(net.layers[0].weight.detach().clone())
    return losses, errors, weights


@needs("callbacks/lr_schedule.py")
@pytest.mark.parametrize(
    ("target", "classes", "lr", "epochs"),
    [
        ("diabetes", True, 0.04, 20),
        pytest.param("diabetes", True, 0.04, 256, marks=pytest.mark.slow),
        pytest.param("bmi", False, 0.07, 20, marks=pytest.mark.slow),
        pytest.param("bmi", False, 0.07, 256, marks=pytest.mark.slow),
        pytest.param("pregnancies", True, 0.04, 20, marks=pytest.mark.slow),
    ],
)
def test_it_equals_the_paper_in_plain_pytorch(run, tmp_path, target, classes, lr, epochs):
    kind = ["data.task=multiclass"] if target == "pregnancies" else []
    overrides = [*TABLE, f"data.target={target}", f"epochs={epochs}", *kind]
    result = run(*overrides, *PRECISE)
    losses, errors, weights = reference_losses(overrides, classes, lr)
    found = [float(row["val/loss"]) for row in rows_of(tmp_path / "run")]
    torch.testing.assert_close(torch.tensor(found), torch.tensor(losses), atol=1e-5, rtol=0)
    best = max(epoch for epoch, error in enumerate(errors) if error == min(errors))  # ties: the last epoch
    assert result["best_epoch"] == best + 1
    torch.testing.assert_close(weights_of(tmp_path / "run", "best")["net.1.weight"], weights[best], atol=1e-5, rtol=0)


@needs("callbacks/lr_schedule.py")
def test_the_recorded_learning_rate_is_that_of_the_weights(run, tmp_path):
    run(*TABLE, "data.target=bmi", "epochs=2", "schedule=none", "width=8")
    assert {float(row["lr"]) for row in rows_of(tmp_path / "run")} == {0.07}


def test_factors_of_all_matching_patterns_are_multiplied():
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 1))
    assert lr_factor_of_each(model, {"*.bias": 0.1, "0.*": 2.0}) == [2.0, 0.2, 1.0, 0.1]
    assert main_factor(model, {"*.bias": 0.1, "0.*": 2.0}) == 2.0


@needs("callbacks/lr_schedule.py")
@pytest.mark.parametrize("schedule", slow_after(1, ["onecycle", "cosine", "none"]))
def test_factors_equal_parameter_groups_in_a_plain_loop(run, tmp_path, schedule):
    args = ["data=diabetes", "hidden_sizes=[5]", "epochs=4", "optimizer=sgd", "lr=0.1", f"schedule={schedule}"]
    run(*args, "lr_factors={*.bias: 0.1}", *PRECISE)
    data, model = built(*args)
    model.double()
    weights, biases = ([p for n, p in model.named_parameters() if n.endswith(end)] for end in ("weight", "bias"))
    optimizer = torch.optim.SGD([{"params": weights, "lr": 0.1}, {"params": biases, "lr": 0.01}])
    loader = data.train_dataloader()
    steps = 4 * len(loader)
    scheduler = {
        "none": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
        "onecycle": lambda: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=[0.1, 0.01], total_steps=steps, cycle_momentum=False
        ),
    }[schedule]()
    for epoch in range(4):
        loader.set_epoch(epoch)
        for i, (x, y) in enumerate(loader):
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(model(x.double()), y.double()).backward()
            optimizer.step()
            if epoch * len(loader) + i < steps - 1:
                scheduler.step()
    for name, tensor in weights_of(tmp_path / "run").items():
        torch.testing.assert_close(tensor, model.state_dict()[name], atol=1e-9, rtol=0)


def test_a_pattern_without_a_parameter_is_rejected(shell):
    done = shell("train.py", "data=diabetes", "lr_factors={*.scale: 2}")
    assert done.returncode == 2
    assert "*.scale matches no parameter" in done.stderr
    assert "net.0.weight" in done.stderr


def test_the_last_short_batch_is_dropped():
    data, _ = built("data=diabetes", "batch_size=256", "drop_last=true")  # 614 training samples
    assert [len(y) for _, y in data.train_dataloader()] == [256, 256]


def test_a_single_short_batch_is_kept():
    data, _ = built("data=diabetes", "batch_size=1000", "drop_last=true")
    assert [len(y) for _, y in data.train_dataloader()] == [614]


@needs("callbacks/weight_init.py")
def test_ntk_is_the_start_of_realmlp_with_other_layers():
    from kindling.callbacks.weight_init import initialise

    torch.manual_seed(0)
    layer = nn.Linear(400, 300)
    initialise(layer, "ntk")
    assert layer.weight.std().item() == pytest.approx(1 / 20, rel=0.01)
    assert layer.bias.std().item() == pytest.approx(1, rel=0.15)


@needs("callbacks/weight_init.py")
def test_schemes_for_standard_layers_are_rejected(shell):
    done = shell("train.py", "data=diabetes", "model=realmlp", "init=xavier")
    assert done.returncode == 2
    assert "has none" in done.stderr
