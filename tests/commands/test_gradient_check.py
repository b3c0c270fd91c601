"""`python -m kindling gradient_check`: correct models pass, and a wrong backward is found."""

import math
import subprocess
import sys

import pytest
import torch
from conftest import built
from torch import nn

from kindling.commands.gradient_check import MAX_WEIGHTS, WRONG, H, _error, central_difference, check, report
from kindling.models.base import Model
from kindling.models.capture import some_samples
from kindling.models.mlp import Deep


class WrongSquare(torch.autograd.Function):
    """The square of x, with a backward whose factor is 2 - `part`."""

    @staticmethod
    def forward(ctx, x, part):
        ctx.save_for_backward(x)
        ctx.part = part
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return (2 - ctx.part) * x * gradient, None


class Squares(Model):
    """Two linear layers with squares in between."""

    def __init__(self, part: float):
        super().__init__(task="regression")
        self.first, self.last, self.part = nn.Linear(3, 4), nn.Linear(4, 1), part

    def forward(self, x):
        return self.last(WrongSquare.apply(self.first(x), self.part))  # (N, 1)


def samples(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(6, size, generator=generator) for size in sizes]


def test_the_central_difference_of_a_square_at_4_is_8():
    assert central_difference(lambda x: x * x, 4.0) == pytest.approx(8, rel=1e-9)
    assert central_difference(math.exp, 1.0) == pytest.approx(math.e, rel=1e-9)


@pytest.mark.parametrize(
    "args",
    [
        "model=linear data=line",
        "model=deep activation=tanh data=diabetes",
        "model=deep data=diabetes batch_norm=true dropout=0.5",
        "model=wide_deep data=dates activation=selu",
        "model=deep data=ring loss=hinge",
        "model=cnn data=mnist_sample model.channels=[2,3] hidden_sizes=[5]",
    ],
)
def test_the_gradients_of_all_models_pass(args):
    torch.manual_seed(0)
    data, model = built(*args.split())
    lines, right = report(check(model, *some_samples(data, model, 4), max_weights=50))
    assert right, "\n".join(lines)
    assert len(lines) == 2 + len(list(model.parameters()))


def test_it_agrees_with_torchs_gradcheck():
    x, y = (part.double() for part in samples(3, 2))
    model = Deep([3], 2, task="regression", hidden_sizes=[4], activation="tanh").double().eval()
    names, weights = zip(*model.named_parameters(), strict=True)

    def loss(*values):
        return model.training_loss(torch.func.functional_call(model, dict(zip(names, values, strict=True)), (x,)), y)

    assert torch.autograd.gradcheck(loss, weights, eps=H, atol=1e-9, rtol=WRONG)
    assert report(check(model, x, y))[1]


@pytest.mark.parametrize(("part", "right"), [(0.0, True), (1e-5, False), (1.0, False)])
def test_a_wrong_backward_is_found_in_the_tensors_before_it(part, right):
    done = {one.name: one.error for one in check(Squares(part), *samples(3, 1))}
    assert (max(done["first.weight"], done["first.bias"]) < WRONG) == right
    assert max(done["last.weight"], done["last.bias"]) < WRONG
    if not right:
        assert max(done.values()) == pytest.approx(part / 2, rel=0.01)


def test_the_verdict_names_the_tensor_and_nan_is_an_error():
    lines, right = report(check(Squares(1.0), *samples(3, 1)))
    verdict = "WRONG: the gradient of first.weight has a relative error of 5.0e-01, more than 1e-06"
    assert (lines[-1], right) == (verdict, False)
    x, y = samples(3, 1)
    assert not report(check(Squares(0.0), x * math.nan, y))[1]


def test_a_kink_within_h_is_no_error_but_a_wrong_slope_elsewhere_is():
    for at in (0.0, 0.2 * H, 0.5 * H, 0.9 * H):  # the slope of |x| on the right
        assert _error(abs, at, 1.0, 1e-3) is None
    assert _error(abs, 2 * H, 1.0, 1e-3) < WRONG
    assert _error(abs, 2 * H, -1.0, 1e-3) == pytest.approx(2)
    assert _error(lambda x: float(x > 0), H / 3, 0.0, 1e-3) is None  # a jump
    assert _error(lambda x: x**4, 1.0, 4.0001, 1e-3) == pytest.approx(2.5e-5, rel=0.01)


def test_weights_at_a_kink_are_counted_separately():
    model = Deep([3], 1, task="regression", hidden_sizes=[4], activation="relu")
    with torch.no_grad():
        model.net[0].weight.zero_(), model.net[0].bias.zero_(), model.net[2].weight.fill_(1)
    done = {one.name: one for one in check(model, *samples(3, 1))}
    assert (done["net.0.weight"].kinks, done["net.0.bias"].kinks, done["net.2.weight"].kinks) == (12, 4, 0)
    assert report(list(done.values()))[1]
    assert not report([done["net.0.weight"]])[1]


def test_the_weights_are_unchanged_and_large_tensors_are_sampled():
    model = Deep([30], 1, task="binary", hidden_sizes=[20]).double()
    before = {name: p.clone() for name, p in model.named_parameters()}
    x, y = samples(30, 1)
    done = check(model, x, (y > 0).float())
    assert {(one.checked, one.weights) for one in done} == {(MAX_WEIGHTS, 600), (20, 20), (1, 1)}
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def gradient_check(folder, *args):
    command = [sys.executable, "-m", "kindling", "gradient_check", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_command_prints_the_verdict_and_leaves_no_files(tmp_path):
    done = gradient_check(tmp_path, "model=deep", "activation=tanh", "data=line", "init=xavier")
    assert done.returncode == 0, done.stderr
    assert "8 training samples, Deep with 1,153 parameters, float64, h = 1e-05" in done.stdout
    assert "200 of 1,024" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("correct: 329 derivatives have relative errors of at most ")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_exits_with_1_if_a_gradient_is_wrong(tmp_path):
    (tmp_path / "own.py").write_text(
        "import torch\nfrom kindling.models.linear import Linear\n\n\n"
        "class Half(torch.autograd.Function):\n"
        "    forward = staticmethod(lambda ctx, x: x.clone())\n"
        "    backward = staticmethod(lambda ctx, gradient: gradient / 2)\n\n\n"
        "class Own(Linear):\n    def forward(self, x):\n        return Half.apply(self.net(x))\n"
    )
    done = gradient_check(tmp_path, "data=line", "model=linear", "model._target_=own.Own")
    assert (done.returncode, "WRONG: the gradient of net.0." in done.stdout) == (1, True), done.stderr


@pytest.mark.parametrize(("args", "message"), [(["-m", "lr=1,2"], "remove -m and resume"), (["data=rnig"], "ring?")])
def test_invalid_arguments_are_rejected(tmp_path, args, message):
    done = gradient_check(tmp_path, *args)
    assert (done.returncode, message in done.stderr, list(tmp_path.iterdir())) == (2, True, []), done.stderr
