"""`python -m kindling lr_find`: a learning rate that trains well, from steps with increasing learning rates."""

import csv
import math
import re
import subprocess
import sys

import pytest
import torch
from conftest import built, compose_config

from kindling.commands.lr_find.range_test import DECAY, HIGHEST, LOWEST, STEPS, find, suggestion
from kindling.plots.lr_find import draw_range
from kindling.plots.save import png


def found(tmp_path, *args):
    return find(compose_config(*args, f"folder={tmp_path}", "trainer=cpu"))


def test_every_step_is_gradient_descent_with_an_exponentially_increasing_learning_rate(tmp_path):
    args = ("data=line", "model=linear", "optimizer=sgd", "batch_size=full", "init=zeros", "trainer.precision=64-true")
    steps = found(tmp_path, *args)
    data, _ = built(*args)
    (x, y), w, b = (part.double() for part in data.samples["train"]), 0.0, 0.0
    for i, (rate, loss, _) in enumerate(steps):
        assert rate == pytest.approx(LOWEST * (HIGHEST / LOWEST) ** (i / (STEPS - 1)))
        off = w * x + b - y
        assert loss == pytest.approx(off.square().mean().item(), rel=1e-9)
        w, b = w - rate * 2 * (off * x).mean().item(), b - rate * 2 * off.mean().item()
    assert 50 < len(steps) < STEPS  # it ended when the loss exploded
    design = torch.cat([x, torch.ones_like(x)], 1)
    curvature = torch.linalg.eigvalsh(2 * design.T @ design / len(x)).max().item()  # steps are stable below 2 over it
    assert suggestion(steps) < 2 / curvature < steps[-1][0]


def test_the_smoothed_loss_is_an_exponential_moving_average(tmp_path):
    steps = found(tmp_path, "data=ring")
    losses = torch.tensor([loss for _, loss, _ in steps[:60]], dtype=torch.float64)
    weights = DECAY ** torch.arange(59, -1, -1, dtype=torch.float64)
    assert steps[59][2] == pytest.approx((losses @ weights / weights.sum()).item())


@pytest.mark.slow
@pytest.mark.parametrize("args", ["data=ring optimizer=sgd epochs=30", "data=diabetes epochs=10"])
def test_the_suggested_learning_rate_trains_better_than_much_smaller_and_larger_ones(run, tmp_path, args):
    rate = suggestion(found(tmp_path, *args.split()))
    results = [run(*args.split(), f"lr={rate * factor}", folder=str(factor)) for factor in (0.03, 1, 100)]
    losses = [result["metrics"]["val/loss"] for result in results]
    assert losses[1] == min(losses)


def test_there_is_no_suggestion_if_the_loss_does_not_decrease():
    assert suggestion([(0.1, 1.0, 1.0), (0.2, 1.0, 1.0), (0.4, 2.0, 1.5)]) is None
    assert suggestion([(0.1, math.nan, math.nan)]) is None
    assert suggestion([(0.1, 1.0, 1.0), (0.25, 0.5, 0.7), (0.4, 2.0, 1.5)]) == 0.025


@pytest.mark.parametrize("losses", [[math.nan], [1.0], [1.0, 0.5, math.inf], [2.0, 2.0]], ids=str)
def test_any_losses_can_be_drawn(losses):
    steps = [(10**-i, loss, loss) for i, loss in enumerate(losses)]
    assert png(draw_range(steps, suggestion(steps))).startswith(b"\x89PNG")


def lr_find(folder, *args):
    return subprocess.run(
        [sys.executable, "-m", "kindling", "lr_find", *args], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.slow
def test_it_prints_the_command_and_writes_the_curve(tmp_path):
    done = lr_find(tmp_path, "data=ring", "lr=0.5", "trainer=cpu", "activation=tanh")
    assert done.returncode == 0, done.stderr
    rate = re.search(r"^lr=(\S+) ", done.stdout, re.MULTILINE)[1]
    assert f"python train.py data=ring trainer=cpu activation=tanh lr={rate}" in done.stdout
    curve = tmp_path / re.search(r"^curve +(\S+)", done.stdout, re.MULTILINE)[1]
    with curve.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    least = min(rows, key=lambda row: float(row["smoothed"]))
    assert float(rate) == float(f"{float(least['lr']) / 10:.2g}")
    assert curve.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["lr_find"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-m", "lr=1,2"], "remove -m and resume"),
        (["data=rnig"], "Did you mean ring?"),
        (["epochs=-3"], "epochs=-3"),
    ],
)
def test_invalid_arguments_are_rejected(tmp_path, args, message):
    done = lr_find(tmp_path, *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "runs").exists()
