"""The doctor's advice on ten healthy and ten unhealthy runs."""

import json
import shlex
from types import SimpleNamespace

import pytest
import torch
from conftest import PLAIN, built
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression

from kindling.doctor import measurements
from kindling.doctor.suggested_run import replaced

HEALTHY = [
    "data=ring",
    "data=blobs model=linear",
    "data=xor activation=tanh",
    "data=xor activation=sigmoid",
    "data=spiral",
    "data=diabetes epochs=20",
    "data=diabetes model=linear",
    "data=line model=linear",
    "data=polynomial",
    "data=mnist_sample model=cnn epochs=5",
]
UNHEALTHY = {
    "data=diabetes depth=12 activation=sigmoid optimizer=sgd epochs=30": "The gradient vanishes",
    "data=blobs width=512 depth=10 init=normal epochs=3": "The gradient explodes",
    "data=diabetes lr=0.3 depth=4 epochs=30": "of the rectified units output 0 for every sample",
    "data=diabetes activation=tanh lr=0.3 epochs=30": "are at the limits of their range",
    "data=diabetes activation=tanh lr=1 epochs=30": "The training loss",
    "data=diabetes optimizer=sgd lr=1e-4 epochs=30": "was still falling",
    "data=diabetes scale=none": "standard deviations of the inputs differ",
    "data=line optimizer=sgd lr=1.5 model=linear": "Training diverged",
    "data=diabetes": "The model overfits",
    "data=xor model=linear": "The model underfits",
}
SLOW = ("data=blobs width=512 depth=10 init=normal epochs=3", "data=diabetes scale=none", "data=xor model=linear")


@pytest.mark.slow
@pytest.mark.parametrize("overrides", HEALTHY)
def test_a_healthy_run_gets_no_advice(run, overrides):
    assert run(*overrides.split())["advice"] == []


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [pytest.param(*pair, marks=[pytest.mark.slow] * (pair[0] in SLOW)) for pair in UNHEALTHY.items()],
)
def test_an_unhealthy_run_gets_a_sentence_with_a_command(run, overrides, sentence):
    advice = run(*overrides.split())["advice"]
    assert 1 <= len(advice) <= 5
    (line,) = [line for line in advice if sentence in line]
    command = shlex.split(line.split("Try: ")[1])
    assert command[:2] == ["python", "train.py"]
    assert overrides.split()[0] in command


@pytest.mark.slow
@pytest.mark.parametrize("overrides", list(UNHEALTHY)[:1])
def test_the_suggested_command_improves_the_validation_loss(run, overrides):
    before = run(*overrides.split(), folder="before")
    suggested = shlex.split(before["advice"][0].split("Try: ")[1])[2:]
    assert {"activation=relu", "init=kaiming"} <= set(suggested)
    after = run(*suggested, folder="after")
    assert after["metrics"]["val/loss"] < before["metrics"]["val/loss"] - 0.1


@pytest.mark.slow
def test_classes_that_are_rare_or_have_few_samples_are_named(run, tmp_path):
    rows = [f"{i % 7},{i % 5},{i % 3},{'rare' if i % 20 == 0 else 'usual'}" for i in range(200)]
    (tmp_path / "few.csv").write_text("\n".join(["a,b,c,label", *rows]) + "\n")
    advice = run("data=csv", f"data.path={tmp_path / 'few.csv'}", "data.target=label", "epochs=2")["advice"]
    assert any("of the training samples are rare" in line and "monitor=val/f1" in line for line in advice)
    assert any("training samples of rare for 3 inputs" in line and "train.py -m " in line for line in advice)


def test_the_measurements_do_not_change_the_run_and_are_stored_in_the_checkpoint(run, tmp_path):
    overrides = ["data=ring", "model=deep", "dropout=0.3", "epochs=3"]
    run(*overrides, folder="with")
    run(*overrides, "callbacks.doctor=null", folder="without")
    states = [torch.load(tmp_path / f / "checkpoints/last.ckpt", weights_only=True) for f in ("with", "without")]
    assert all(torch.equal(states[0]["state_dict"][k], v) for k, v in states[1]["state_dict"].items())
    kept = states[0]["callbacks"]["Doctor"]["history"]
    assert [snapshot["epoch"] for snapshot in kept["snapshots"]] == [0, 1, 2, 3]
    assert len(kept["train_loss"]) == len(kept["val_loss"]) == 3
    assert "advice" not in json.loads((tmp_path / "without/result.json").read_text())


def test_gradients_and_dead_units_equal_those_computed_with_pytorch():
    data, model = built("data=ring", "hidden_sizes=[4,3]")
    data.setup()
    x, y = (part[:256] for part in data.samples["train"])
    with torch.no_grad():
        model.net[0].bias[1] = -100.0  # one of seven units is dead
    snapshot = measurements.take_snapshot(model, x, y, 0)
    torch.nn.functional.binary_cross_entropy_with_logits(model(x), y).backward()
    matrices = [p.grad for p in model.parameters() if p.dim() > 1]
    assert snapshot.gradients == pytest.approx([g.square().mean().sqrt().item() for g in matrices])
    assert snapshot.norm == pytest.approx(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]).item())
    hidden = [torch.relu(model.net[0](x))]
    hidden.append(torch.relu(model.net[2](hidden[0])))
    assert snapshot.dead == pytest.approx(sum((h == 0).all(0).sum().item() for h in hidden) / 7)
    assert snapshot.saturated is None


def test_scores_of_simple_models_equal_those_of_scikit_learn():
    data, _ = built("data=diabetes")
    data.setup()
    (x, y), (x_val, y_val) = ((part.numpy() for part in data.samples[stage]) for stage in ("train", "val"))
    line = ((LinearRegression().fit(x, y[:, 0]).predict(x_val) > 0.5) == y_val[:, 0]).mean()
    constant = DummyClassifier().fit(x_val, y_val[:, 0]).score(x_val, y_val[:, 0])
    assert list(measurements.simple_scores(data).values()) == pytest.approx([constant, line])


def test_the_command_has_each_option_once():
    assert replaced("python train.py lr=1 data='a b'", "lr=0.1", "clip=1") == (
        "python train.py 'data=a b' lr=0.1 clip=1"
    )


def test_a_learning_rate_of_0_is_the_only_advice(run):
    (line,) = run("data=diabetes", "model=linear", "optimizer=sgd", "lr=0", "epochs=6")["advice"]
    assert line.startswith("The learning rate is 0, so the weights did not change. Try: ")


@pytest.mark.slow
def test_a_learning_rate_of_0_gives_advice_on_the_command_line(shell):
    done = shell("train.py", "data=diabetes", "model=linear", "lr=0", "epochs=2", *PLAIN, check=True)
    assert "advice   The learning rate is 0, so the weights did not change. Try: python train.py" in done.stdout


def test_the_column_with_the_largest_scale_is_named(run):
    advice = run("experiment=lectures/dates_raw")["advice"]
    assert advice[0].startswith("Training diverged")
    assert "income has the largest" in advice[1]
    assert advice[1].endswith("scale=standard")


def test_a_linear_model_below_the_least_squares_solution_gets_a_larger_learning_rate(run):
    advice = run("experiment=lectures/line_lr", "lr=0.001")["advice"]
    assert any(line.endswith("lr=0.01") and "a linear model reaches" in line for line in advice)


def test_a_perceptron_that_separates_its_samples_gets_no_advice_on_lr(run):
    result = run("experiment=lectures/perceptron")
    assert result["metrics"]["train/accuracy"] == 1
    assert result["epochs"] < 100
    assert not any("lr" in line for line in result["advice"])


def test_constant_columns_are_excluded_from_the_comparison_of_scales():
    x = torch.randn(40, 3)
    x[:, 2] = 36.6
    data = SimpleNamespace(samples={"train": (x, x)}, transform={}, features="none", input_names=[])
    assert measurements.scales(data)[0] < 2
