"""The doctor: ten runs that are well, ten that are ill, and a cure."""

import json
import shlex
from types import SimpleNamespace

import pytest
import torch
from conftest import PLAIN, built
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression

from kindling.doctor import measurements
from kindling.doctor.command import replaced

WELL = [
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
ILL = {
    "data=diabetes depth=12 activation=sigmoid optimizer=sgd epochs=30": "The gradient vanishes",
    "data=blobs width=512 depth=10 init=normal epochs=3": "The gradient explodes",
    "data=diabetes lr=0.3 depth=4 epochs=30": "of the rectified units are 0 for every row",
    "data=diabetes activation=tanh lr=0.3 epochs=30": "are at an end of their range",
    "data=diabetes activation=tanh lr=1 epochs=30": "The training loss",
    "data=diabetes optimizer=sgd lr=1e-4 epochs=30": "was still falling",
    "data=diabetes scale=none": "standard deviations differ",
    "data=line optimizer=sgd lr=1.5 model=linear": "Training diverged",
    "data=diabetes": "It learned by heart",
    "data=xor model=linear": "It learned too little",
}


@pytest.mark.slow
@pytest.mark.parametrize("words", WELL)
def test_a_run_that_is_well_gets_no_advice(run, words):
    assert run(*words.split())["advice"] == []


@pytest.mark.parametrize(("words", "sentence"), ILL.items())
def test_a_run_that_is_ill_is_told_so_with_a_command(run, words, sentence):
    advice = run(*words.split())["advice"]
    assert 1 <= len(advice) <= 5
    (told,) = [line for line in advice if sentence in line]
    command = shlex.split(told.split("Try: ")[1])
    assert command[:2] == ["python", "train.py"]
    assert words.split()[0] in command


@pytest.mark.slow
@pytest.mark.parametrize("words", list(ILL)[:1])
def test_the_command_that_it_advises_betters_the_validation_loss(run, words):
    ill = run(*words.split(), folder="ill")
    words = shlex.split(ill["advice"][0].split("Try: ")[1])[2:]
    assert {"activation=relu", "init=kaiming"} <= set(words)
    cured = run(*words, folder="cured")
    assert cured["metrics"]["val/loss"] < ill["metrics"]["val/loss"] - 0.1


def test_classes_that_are_rare_or_have_few_samples_are_told(run, tmp_path):
    rows = [f"{i % 7},{i % 5},{i % 3},{'rare' if i % 20 == 0 else 'usual'}" for i in range(200)]
    (tmp_path / "few.csv").write_text("\n".join(["a,b,c,label", *rows]) + "\n")
    advice = run("data=csv", f"data.path={tmp_path / 'few.csv'}", "data.target=label", "epochs=2")["advice"]
    assert any("of the training rows are rare" in line and "monitor=val/f1" in line for line in advice)
    assert any("training rows of rare for 3 inputs are few" in line and "train.py -m " in line for line in advice)


def test_looking_changes_nothing_and_a_resumed_run_goes_on_with_what_was_seen(run, tmp_path):
    words = ["data=ring", "model=deep", "dropout=0.3", "epochs=3"]
    run(*words, folder="with")
    run(*words, "callbacks.doctor=null", folder="without")
    states = [torch.load(tmp_path / f / "checkpoints/last.ckpt", weights_only=True) for f in ("with", "without")]
    assert all(torch.equal(states[0]["state_dict"][k], v) for k, v in states[1]["state_dict"].items())
    kept = states[0]["callbacks"]["Doctor"]["history"]
    assert [look["epoch"] for look in kept["looks"]] == [0, 1, 2, 3]
    assert len(kept["train_loss"]) == len(kept["val_loss"]) == 3
    assert "advice" not in json.loads((tmp_path / "without/result.json").read_text())


def test_gradients_dead_units_and_saturation_are_those_of_plain_pytorch():
    data, model = built("data=ring", "hidden_sizes=[4,3]")
    data.setup()
    x, y = (part[:256] for part in data.samples["train"])
    with torch.no_grad():
        model.net[0].bias[1] = -100.0  # one of seven units is dead
    seen = measurements.look(model, x, y, 0)
    torch.nn.functional.binary_cross_entropy_with_logits(model(x), y).backward()
    matrices = [p.grad for p in model.parameters() if p.dim() > 1]
    assert seen.gradients == pytest.approx([g.square().mean().sqrt().item() for g in matrices])
    assert seen.norm == pytest.approx(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]).item())
    hidden = [torch.relu(model.net[0](x))]
    hidden.append(torch.relu(model.net[2](hidden[0])))
    assert seen.dead == pytest.approx(sum((h == 0).all(0).sum().item() for h in hidden) / 7)
    assert seen.saturated is None


def test_simple_models_score_as_scikit_learn_s():
    data, _ = built("data=diabetes")
    data.setup()
    (x, y), (x_val, y_val) = ((part.numpy() for part in data.samples[stage]) for stage in ("train", "val"))
    line = ((LinearRegression().fit(x, y[:, 0]).predict(x_val) > 0.5) == y_val[:, 0]).mean()
    constant = DummyClassifier().fit(x_val, y_val[:, 0]).score(x_val, y_val[:, 0])
    assert list(measurements.simple_scores(data).values()) == pytest.approx([constant, line])


def test_the_command_has_each_knob_once():
    assert replaced("python train.py lr=1 data='a b'", "lr=0.1", "clip=1") == (
        "python train.py 'data=a b' lr=0.1 clip=1"
    )


def test_a_run_of_step_size_0_is_told_that_and_nothing_else(run):
    (line,) = run("data=diabetes", "model=linear", "optimizer=sgd", "lr=0", "epochs=6")["advice"]
    assert line.startswith("The step size lr is 0, so nothing was learnt. Try: ")


@pytest.mark.slow
def test_the_command_line_s_run_of_step_size_0_is_told_that_too(shell):
    done = shell("train.py", "data=diabetes", "model=linear", "lr=0", "epochs=2", *PLAIN, check=True)
    assert "advice   The step size lr is 0, so nothing was learnt. Try: python train.py" in done.stdout


def test_the_column_whose_scale_is_out_of_line_is_named(run):
    advice = run("experiment=lectures/dates_raw")["advice"]
    assert advice[0].startswith("Training diverged")
    assert "income has the largest" in advice[1]
    assert advice[1].endswith("scale=standard")


def test_a_linear_model_below_a_straight_line_is_to_take_larger_steps(run):
    advice = run("experiment=lectures/line_lr", "lr=0.001")["advice"]
    assert any(line.endswith("lr=0.01") and "a straight line has" in line for line in advice)


def test_a_perceptron_that_has_separated_its_rows_is_well(run):
    result = run("experiment=lectures/perceptron")
    assert result["metrics"]["train/accuracy"] == 1
    assert result["epochs"] < 100
    assert not any("lr" in line for line in result["advice"])


def test_the_scales_compared_are_those_of_columns_that_vary():
    x = torch.randn(40, 3)
    x[:, 2] = 36.6
    assert measurements.scales(SimpleNamespace(samples={"train": (x, x)}, examples=SimpleNamespace(columns=[])))[0] < 2
