"""Columns that are constant in the training samples up to rounding have no effect and are named in the log."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score

from kindling.data.base import Data
from kindling.data.examples import Examples
from kindling.data.preprocessing.scaling import is_constant
from kindling.data.preprocessing.transforms import apply_transform, column_transform
from kindling.data.tables.table import Table
from kindling.tasks.metrics import r2


class Own(Data):
    """Given examples, split in half into training and validation samples."""

    def __init__(self, examples, **data):
        super().__init__(**{"test_share": 0.0, "val_share": 0.5} | data)
        self.given = examples

    def load(self):
        return self.given


@pytest.fixture
def warm(tmp_path):
    """Write a table whose column `temp` is 36.6 or missing, and a test file in which it is 36.7."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=100), "temp": 36.6, "y": np.arange(100) % 2})
    frame.loc[::7, "temp"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.assign(temp=36.7).to_csv(tmp_path / "test.csv", index=False)
    return {"path": str(tmp_path / "t.csv"), "test_path": str(tmp_path / "test.csv")}


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_a_constant_column_is_named_and_new_values_have_no_effect(warm, scale, caplog):
    data = Table(**warm, target="y", scale=scale)
    with caplog.at_level("INFO", "kindling"):
        data.setup()
    assert data.transform["factor"][1] == 0.0
    assert data.samples["test"][0][:, 1].tolist() == [0.0] * 100
    assert "column 'temp': constant in the training samples, so without effect" in caplog.text


@pytest.mark.skipif(importlib.util.find_spec("kindling.callbacks.weight_init") is None, reason="init is stripped")
def test_the_losses_equal_those_without_the_constant_column(run, warm):
    overrides = ["data=csv", f"data.path={warm['path']}", f"data.test_path={warm['test_path']}", "data.target=y"]
    overrides += ["data.missing_indicator=false"]
    kept = run(*overrides, "model=linear", "init=zeros", "epochs=3", folder="kept")["metrics"]
    dropped = run(*overrides, "data.drop=[temp]", "model=linear", "init=zeros", "epochs=3", folder="dropped")["metrics"]
    for name in ("val/loss", "test/loss"):
        assert kept[name] == pytest.approx(dropped[name], rel=1e-5)


@pytest.mark.parametrize("offset", [1e3, 1e9, 1e12, 1e15, 2.0**51])
def test_a_column_that_varies_around_a_huge_offset_is_scaled(offset):
    x = offset + torch.arange(10.0, dtype=torch.float64)[:, None] % 2
    scaled = apply_transform(x, column_transform(x, "standard"))
    torch.testing.assert_close(scaled[:, 0], torch.tensor([-1.0, 1.0] * 5))


def test_rounding_errors_do_not_count_as_variation():
    angle = torch.linspace(0, 6, 50, dtype=torch.float64)
    circle = torch.stack([3 * angle.cos(), 3 * angle.sin()], 1)
    assert column_transform(circle, "standard", "radius")["factor"] == [0.0]
    sums = torch.tensor([0.1 + 0.2, 0.3] * 5, dtype=torch.float64)[:, None]
    assert is_constant(sums, sums.dtype).item()
    assert not is_constant(sums + torch.arange(10)[:, None] * 1e-14, sums.dtype).item()


def test_many_constant_columns_are_logged_in_one_line(caplog):
    with caplog.at_level("INFO", "kindling"):
        column_transform(torch.ones(5, 30), "standard")
    assert [record.message for record in caplog.records] == [
        "columns 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 20 more (counted from 0): constant in the training samples, so "
        "without effect"
    ]


def test_constant_training_images_become_zero_and_so_do_others(caplog):
    x, y = torch.full((20, 1, 4, 4), 7, dtype=torch.uint8), (torch.arange(20) % 2)[:, None].float()
    data = Own(Examples(x, y, "binary", test=(x + 90, y)))
    with caplog.at_level("INFO", "kindling"):
        data.setup()
    assert next(iter(data.test_dataloader()))[0].abs().max() == 0
    assert "all pixels of all images: constant in the training samples" in caplog.text


@pytest.mark.parametrize("scale_target", ["standard", "none"])
def test_a_constant_target_keeps_its_unit_and_is_logged(caplog, scale_target):
    y = torch.full((20, 1), 14.62, dtype=torch.float64)
    data = Own(
        Examples(torch.randn(20, 2), y, "regression", test=(torch.randn(1, 2), y[:1] + 1)), scale_target=scale_target
    )
    with caplog.at_level("INFO", "kindling"):
        data.setup()
    shift = data.samples["test"][1].item() - data.samples["train"][1][0].item()
    assert shift == pytest.approx(1.0, rel=1e-6)
    assert "the target is constant in the training samples" in caplog.text


def test_r2_of_a_constant_target_is_undefined_and_others_equal_scikit_learn():
    y = torch.stack([torch.full((30,), 36.6), torch.arange(30.0)], 1)
    preds = y + torch.randn(30, 2)
    assert r2(preds[:, :1], y[:, :1]).isnan()
    assert r2(y[:, :1], y[:, :1]).isnan()
    assert r2(preds, y).item() == pytest.approx(r2_score(y[:, 1], preds[:, 1]))
    both = torch.stack([preds, y])
    assert r2(both, y.expand(2, 30, 2))[1].item() == 1.0


def test_r2_with_a_training_target_of_1e12_equals_scikit_learn(run, tmp_path):
    frame = pd.DataFrame({"a": np.arange(100.0), "y": np.arange(100.0) % 7})
    frame.loc[3, "y"] = 1e12
    frame.to_csv(tmp_path / "t.csv", index=False)
    overrides = ["data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=y", "data.task=regression", "model=linear"]
    found = run(*overrides, "epochs=2", "lr=0.01")["metrics"]["val/r2"]

    data = Table(str(tmp_path / "t.csv"), "y", "regression")
    data.setup()
    saved = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    x, y = data.samples["val"]
    z = (x @ saved["state_dict"]["net.0.weight"].T + saved["state_dict"]["net.0.bias"]).double()
    preds, true = (v * data.transform["target_std"][0] + data.transform["target_shift"][0] for v in (z, y))
    assert sorted(true.round().flatten().tolist()) == sorted(true.round().clamp(0, 6).flatten().tolist())
    assert found < -1e17
    assert found == pytest.approx(r2_score(true, preds), rel=1e-3)
