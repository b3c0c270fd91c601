"""A temperature calibrates the probabilities of a run, compared with an optimizer of SciPy."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import PLAIN, needs, weights_of
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

import kindling
from kindling import UserError
from kindling.callbacks.calibration import fit_temperature
from kindling.tasks.losses import bce, cross_entropy
from kindling.training.checkpoint_files import load
from kindling.training.prediction.evaluate import evaluate
from kindling.training.run_folder import config_of, data_and_model

OVERCONFIDENT = ["epochs=150", "width=100", "lr=0.01", "monitor=train/loss"]  # the best epoch is one of the last


def noisy_table(folder: Path, classes: int = 3) -> list[str]:
    """Write a table whose classes overlap, and return the overrides to train on it."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(400, 4)), columns=list("abcd"))
    noise = table["a"] + table["b"] + 1.5 * rng.normal(size=400)
    edges = [-0.7, 0.7] if classes == 3 else [0]
    table["kind"] = np.array(["low", "middle", "high"])[np.digitize(noise, edges)]
    table.to_csv(folder / "noisy.csv", index=False)
    return ["data=csv", f"data.path={folder / 'noisy.csv'}", "data.target=kind", "data.val_share=0.3",
            "data.test_share=0.3"]  # fmt: skip


def raw_logits(folder: Path, stage: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits of the best weights for a stage, without a temperature, and the targets."""
    data, model = data_and_model(config_of(folder))
    model.load_state_dict(weights_of(folder, "best"))
    x, y = data.samples[stage]
    with torch.no_grad():
        return model.eval()(x).double().numpy(), y.numpy()


def temperature_of(folder: Path, name: str = "best") -> float:
    return load(folder / "checkpoints" / f"{name}.ckpt")["temperature"]


def nll(temperature: float, logits: np.ndarray, y: np.ndarray) -> float:
    return -log_softmax(logits / temperature, axis=1)[np.arange(len(y)), y].mean()


@pytest.mark.parametrize("scale", [0.2, 1.0, 8.0])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_temperature_minimizes_the_log_loss(scale, outputs):
    rng = np.random.default_rng(0)
    logits, y = scale * rng.normal(size=(200, max(outputs, 2))), rng.integers(0, max(outputs, 2), 200)
    logits[np.arange(200), y] += scale
    best = minimize_scalar(nll, bounds=(0.01, 100), args=(logits, y), method="bounded", options={"xatol": 1e-9}).x
    if outputs == 1:  # the logit of two classes is the difference of theirs
        found = fit_temperature(
            torch.from_numpy(logits[:, 1:] - logits[:, :1]), torch.from_numpy(y[:, None]).double(), bce
        )
    else:
        found = fit_temperature(torch.from_numpy(logits), torch.from_numpy(y), cross_entropy)
    assert found == pytest.approx(best, rel=1e-5)


def test_logits_without_an_error_get_no_temperature_and_useless_ones_the_highest():
    y = torch.tensor([0, 1, 1, 0])
    right = torch.nn.functional.one_hot(y, 2).double()
    assert fit_temperature(right, y, cross_entropy) == 1
    assert fit_temperature(-right, y, cross_entropy) == pytest.approx(100)


def test_overconfident_probabilities_are_softened(finished, tmp_path):
    args = [*noisy_table(tmp_path), *OVERCONFIDENT, "calibrate=true"]
    folder = finished(*args)
    temperature = temperature_of(folder)
    best = minimize_scalar(nll, bounds=(0.1, 100), args=raw_logits(folder, "val"), method="bounded").x
    assert temperature == temperature_of(folder, "last") == pytest.approx(best, rel=1e-4)
    assert temperature > 1.5

    logits, y = raw_logits(folder, "test")
    metrics = json.loads((folder / "result.json").read_text(encoding="utf-8"))["metrics"]
    assert metrics["test/loss"] == pytest.approx(nll(temperature, logits, y), rel=1e-4)
    assert metrics["test/loss"] < nll(1, logits, y) - 0.1
    assert metrics["test/accuracy"] == pytest.approx((logits.argmax(1) == y).mean())
    assert evaluate(folder)["test/loss"] == pytest.approx(metrics["test/loss"], abs=1e-6)


def test_predictions_are_the_softmax_of_the_divided_logits(finished, tmp_path):
    folder = finished(*noisy_table(tmp_path), *OVERCONFIDENT, "calibrate=true")
    predictor = kindling.load(folder)
    data, _ = data_and_model(config_of(folder))
    logits, _ = raw_logits(folder, "test")
    found = predictor(data.examples.x[data.indices["test"]].numpy())
    names = [f"probability {name}" for name in data.examples.class_names]
    np.testing.assert_allclose(found[names], softmax(logits / temperature_of(folder), axis=1), atol=1e-5)
    assert found["prediction"].tolist() == [data.examples.class_names[i] for i in logits.argmax(1)]


@pytest.mark.slow
@needs("commands/export.py")
def test_an_exported_model_is_calibrated(finished, tmp_path):
    from kindling.commands.export import export

    folder = finished(*noisy_table(tmp_path, classes=2), *OVERCONFIDENT, "calibrate=true")
    assert export(folder, tmp_path / "model.pt2")["difference"] <= 1e-5
    data, _ = data_and_model(config_of(folder))
    raw = data.examples.x[data.indices["test"]].double()
    found = torch.export.load(tmp_path / "model.pt2").module()(raw)
    logits, _ = raw_logits(folder, "test")
    wanted = torch.from_numpy(logits / temperature_of(folder)).sigmoid()
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=0)


def test_the_result_says_what_the_temperature_has_changed(run, tmp_path, caplog):
    caplog.set_level("INFO")
    (line,) = run(*noisy_table(tmp_path), *OVERCONFIDENT, "calibrate=true")["calibrate"]
    assert line.startswith(f"temperature {temperature_of(tmp_path / 'run'):.3g}: validation loss ")
    assert f"calibrate {line}" in caplog.text
    assert "temperature" not in load(tmp_path / "run" / "checkpoints" / "best.ckpt")["hyper_parameters"]


@pytest.mark.slow
def test_a_resumed_run_fits_the_temperature_again(shell, tmp_path):
    args = [*noisy_table(tmp_path), "calibrate=true", "monitor=train/loss", "trainer=cpu", *PLAIN]
    for name, epochs in (("whole", 30), ("part", 10)):
        shell("train.py", *args, f"epochs={epochs}", f"hydra.run.dir={name}", check=True)
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert temperature_of(part) != pytest.approx(temperature_of(whole), rel=0.01)
    wanted = json.loads((whole / "result.json").read_text(encoding="utf-8"))
    for _ in range(2):  # the second time there is nothing left to train
        shell("train.py", "resume=part", "epochs=30", check=True)
        assert temperature_of(part) == pytest.approx(temperature_of(whole), rel=1e-6)
        found = json.loads((part / "result.json").read_text(encoding="utf-8"))
        assert found["calibrate"] == wanted["calibrate"]
        assert found["metrics"] == pytest.approx(wanted["metrics"], abs=1e-6)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["data=line", "model=linear"], "calibrate=true needs classes, and this is a regression"),
        (["data=blobs", "loss=hinge"], "calibrate=true needs loss=bce"),
        (["data=mnist_sample", "loss=mse"], "calibrate=true needs loss=cross_entropy"),
        (["data=blobs", "data.val_share=0"], "calibrate=true needs validation samples"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_before_training(run, args, message):
    with pytest.raises(UserError, match=message):
        run(*args, "epochs=1", "calibrate=true")


@needs("sweeps/grouped")
def test_jobs_of_a_sweep_train_individually():
    from sweeps.sweep_helpers import formed

    groups, singles = formed([["data=blobs", f"seed={seed}", "calibrate=true"] for seed in (0, 1)])
    assert not groups
    assert {why for _, why in singles} == {"callbacks.calibration works only in single runs"}
