"""`python -m kindling gradient_check`: right models pass, a planted wrong backward does not."""

import math
import subprocess
import sys

import pytest
import torch
from conftest import built
from torch import nn

from kindling.commands.gradient_check import MOST, WRONG, H, _error, central, check, report
from kindling.models.base import Model
from kindling.models.capture import some_samples
from kindling.models.mlp import Deep


class WrongSquare(torch.autograd.Function):
    """x squared, whose backward forgets `part` of the factor 2."""

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
    """Squares between two linear layers."""

    def __init__(self, part: float):
        super().__init__(task="regression")
        self.first, self.last, self.part = nn.Linear(3, 4), nn.Linear(4, 1), part

    def forward(self, x):
        return self.last(WrongSquare.apply(self.first(x), self.part))  # (N, 1)


def rows(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(6, size, generator=generator) for size in sizes]


def test_the_central_difference_of_a_square_at_4_is_8():
    assert central(lambda x: x * x, 4.0) == pytest.approx(8, rel=1e-9)
    assert central(math.exp, 1.0) == pytest.approx(math.e, rel=1e-9)


@pytest.mark.parametrize(
    "words",
    [
        "model=linear data=line",
        "model=deep activation=tanh data=diabetes",
        "model=deep data=diabetes batch_norm=true dropout=0.5",
        "model=wide_deep data=dates activation=selu",
        "model=deep data=ring loss=hinge",
        "model=cnn data=mnist_sample model.channels=[2,3] hidden_sizes=[5]",
    ],
)
def test_every_model_s_own_gradient_passes(words):
    torch.manual_seed(0)
    data, model = built(*words.split())
    lines, right = report(check(model, *some_samples(data, model, 4), most=50))
    assert right, "\n".join(lines)
    assert len(lines) == 2 + len(list(model.parameters()))


def test_it_agrees_with_torch_s_own_check():
    x, y = (part.double() for part in rows(3, 2))
    model = Deep([3], 2, task="regression", hidden_sizes=[4], activation="tanh").double().eval()
    names, weights = zip(*model.named_parameters(), strict=True)

    def loss(*values):
        return model.training_loss(torch.func.functional_call(model, dict(zip(names, values, strict=True)), (x,)), y)

    assert torch.autograd.gradcheck(loss, weights, eps=H, atol=1e-9, rtol=WRONG)
    assert report(check(model, x, y))[1]


@pytest.mark.parametrize(("part", "right"), [(0.0, True), (1e-5, False), (1.0, False)])
def test_a_wrong_backward_is_found_in_the_tensors_before_it(part, right):
    done = {one.name: one.error for one in check(Squares(part), *rows(3, 1))}
    assert (max(done["first.weight"], done["first.bias"]) < WRONG) == right
    assert max(done["last.weight"], done["last.bias"]) < WRONG
    if not right:
        assert max(done.values()) == pytest.approx(part / 2, rel=0.01)


def test_the_verdict_names_the_tensor_and_a_nan_is_no_agreement():
    lines, right = report(check(Squares(1.0), *rows(3, 1)))
    assert (lines[-1], right) == ("WRONG: the gradient of first.weight is off by 5.0e-01, over 1e-06", False)
    x, y = rows(3, 1)
    assert not report(check(Squares(0.0), x * math.nan, y))[1]


def test_a_kink_within_h_is_no_error_but_a_wrong_slope_beside_none_is():
    for at in (0.0, 0.2 * H, 0.5 * H, 0.9 * H):  # the slope of |x| on the right
        assert _error(abs, at, 1.0, 1e-3) is None
    assert _error(abs, 2 * H, 1.0, 1e-3) < WRONG
    assert _error(abs, 2 * H, -1.0, 1e-3) == pytest.approx(2)
    assert _error(lambda x: float(x > 0), H / 3, 0.0, 1e-3) is None  # a jump
    assert _error(lambda x: x**4, 1.0, 4.0001, 1e-3) == pytest.approx(2.5e-5, rel=0.01)


def test_weights_whose_loss_bends_where_they_stand_are_counted_apart():
    model = Deep([3], 1, task="regression", hidden_sizes=[4], activation="relu")
    with torch.no_grad():
        model.net[0].weight.zero_(), model.net[0].bias.zero_(), model.net[2].weight.fill_(1)
    done = {one.name: one for one in check(model, *rows(3, 1))}
    assert (done["net.0.weight"].kinks, done["net.0.bias"].kinks, done["net.2.weight"].kinks) == (12, 4, 0)
    assert report(list(done.values()))[1]
    assert not report([done["net.0.weight"]])[1]


def test_the_model_s_weights_are_left_as_they_were_and_large_tensors_are_sampled():
    model = Deep([30], 1, task="binary", hidden_sizes=[20]).double()
    before = {name: p.clone() for name, p in model.named_parameters()}
    x, y = rows(30, 1)
    done = check(model, x, (y > 0).float())
    assert {(one.checked, one.weights) for one in done} == {(MOST, 600), (20, 20), (1, 1)}
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def gradient_check(folder, *words):
    command = [sys.executable, "-m", "kindling", "gradient_check", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_command_line_gives_the_verdict_and_leaves_nothing(tmp_path):
    done = gradient_check(tmp_path, "model=deep", "activation=tanh", "data=line", "init=xavier")
    assert done.returncode == 0, done.stderr
    assert "8 training rows, Deep with 1,153 parameters, float64, h = 1e-05" in done.stdout
    assert "200 of 1,024" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("right: 329 derivatives differ by at most ")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_line_ends_with_1_at_a_wrong_gradient(tmp_path):
    (tmp_path / "own.py").write_text(
        "import torch\nfrom kindling.models.linear import Linear\n\n\n"
        "class Half(torch.autograd.Function):\n"
        "    forward = staticmethod(lambda ctx, x: x.clone())\n"
        "    backward = staticmethod(lambda ctx, gradient: gradient / 2)\n\n\n"
        "class Own(Linear):\n    def forward(self, x):\n        return Half.apply(self.net(x))\n"
    )
    done = gradient_check(tmp_path, "data=line", "model=linear", "model._target_=own.Own")
    assert (done.returncode, "WRONG: the gradient of net.0." in done.stdout) == (1, True), done.stderr


@pytest.mark.parametrize(("words", "said"), [(["-m", "lr=1,2"], "remove -m and resume"), (["data=rnig"], "ring?")])
def test_what_cannot_be_is_refused(tmp_path, words, said):
    done = gradient_check(tmp_path, *words)
    assert (done.returncode, said in done.stderr, list(tmp_path.iterdir())) == (2, True, []), done.stderr
