"""`python -m kindling lr_find`: a learning rate that trains well, from steps of growing size."""

import csv
import math
import re
import subprocess
import sys

import pytest
import torch
from conftest import built, compose_config

from kindling.callbacks.lr_find import HIGHEST, KEPT, LOWEST, STEPS, find, suggestion
from kindling.plots.lr_find import draw_range
from kindling.plots.save import png


def found(tmp_path, *words):
    return find(compose_config(*words, f"folder={tmp_path}", "trainer=cpu"))


def test_every_step_is_one_of_gradient_descent_with_a_rate_that_grows_by_the_same_factor(tmp_path):
    words = ("data=line", "model=linear", "optimizer=sgd", "batch_size=full", "init=zeros", "trainer.precision=64-true")
    seen = found(tmp_path, *words)
    data, _ = built(*words)
    (x, y), w, b = (part.double() for part in data.samples["train"]), 0.0, 0.0
    for i, (rate, loss, _) in enumerate(seen):
        assert rate == pytest.approx(LOWEST * (HIGHEST / LOWEST) ** (i / (STEPS - 1)))
        off = w * x + b - y
        assert loss == pytest.approx(off.square().mean().item(), rel=1e-9)
        w, b = w - rate * 2 * (off * x).mean().item(), b - rate * 2 * off.mean().item()
    assert 50 < len(seen) < STEPS  # it ended where the loss exploded
    rows = torch.cat([x, torch.ones_like(x)], 1)
    curvature = torch.linalg.eigvalsh(2 * rows.T @ rows / len(x)).max().item()  # a step is stable below 2 over it
    assert suggestion(seen) < 2 / curvature < seen[-1][0]


def test_the_smoothed_loss_is_the_weighted_mean_of_those_so_far(tmp_path):
    seen = found(tmp_path, "data=ring")
    losses = torch.tensor([loss for _, loss, _ in seen[:60]], dtype=torch.float64)
    weights = KEPT ** torch.arange(59, -1, -1, dtype=torch.float64)
    assert seen[59][2] == pytest.approx((losses @ weights / weights.sum()).item())


@pytest.mark.slow
@pytest.mark.parametrize("words", ["data=ring optimizer=sgd epochs=30", "data=diabetes epochs=10"])
def test_the_suggested_rate_trains_better_than_much_smaller_and_much_larger_ones(run, tmp_path, words):
    rate = suggestion(found(tmp_path, *words.split()))
    results = [run(*words.split(), f"lr={rate * factor}", folder=str(factor)) for factor in (0.03, 1, 100)]
    losses = [result["metrics"]["val/loss"] for result in results]
    assert losses[1] == min(losses)


def test_there_is_no_suggestion_where_the_loss_does_not_fall():
    assert suggestion([(0.1, 1.0, 1.0), (0.2, 1.0, 1.0), (0.4, 2.0, 1.5)]) is None
    assert suggestion([(0.1, math.nan, math.nan)]) is None
    assert suggestion([(0.1, 1.0, 1.0), (0.25, 0.5, 0.7), (0.4, 2.0, 1.5)]) == 0.025


@pytest.mark.parametrize("losses", [[math.nan], [1.0], [1.0, 0.5, math.inf], [2.0, 2.0]], ids=str)
def test_a_curve_of_any_losses_is_drawn(losses):
    seen = [(10**-i, loss, loss) for i, loss in enumerate(losses)]
    assert png(draw_range(seen, suggestion(seen))).startswith(b"\x89PNG")


def lr_find(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "kindling", "lr_find", *words], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.slow
def test_the_command_line_prints_the_command_and_writes_the_curve(tmp_path):
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
    ("words", "said"),
    [
        (["-m", "lr=1,2"], "remove -m and resume"),
        (["data=rnig"], "Did you mean ring?"),
        (["epochs=-3"], "epochs=-3"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, words, said):
    done = lr_find(tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()
