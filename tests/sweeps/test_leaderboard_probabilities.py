"""Ensembles and baselines of quantiles and of calibrated probabilities."""

import pytest
import torch
from noisy_line import noisy_line
from sweeps.sweep_helpers import trained_together

from kindling.sweeps.leaderboard.baselines.score import score_baselines
from kindling.sweeps.leaderboard.ensemble.library import read_library
from kindling.sweeps.leaderboard.jobs import read_jobs
from kindling.sweeps.leaderboard.make import make_board
from kindling.training.checkpoint_files import load


def test_an_ensemble_averages_calibrated_probabilities(tmp_path):
    small = ["data=blobs", "epochs=2", "width=4"]
    trained_together(tmp_path, [[*small, f"seed={seed}"] for seed in range(3)])
    jobs = read_jobs(tmp_path)
    before = read_library(jobs).val_preds[0]
    temperatures = torch.tensor([3.0, 1.0, 0.5])
    for job, temperature in zip(jobs, temperatures.tolist(), strict=True):
        file = job.folder / "checkpoints" / "best.ckpt"
        own = {} if temperature == 1 else {"temperature": temperature}
        torch.save(load(file) | own, file)
    wanted = (before.logit() / temperatures[:, None, None]).sigmoid()
    torch.testing.assert_close(read_library(jobs).val_preds[0], wanted, atol=1e-6, rtol=0, check_dtype=False)


def test_baselines_and_ensembles_predict_quantiles(tmp_path, capsys):
    args = [*noisy_line(tmp_path), "epochs=5", "width=8"]
    jobs = trained_together(tmp_path / "sweep", [[*args, f"seed={seed}"] for seed in (0, 1, 2)])
    found = score_baselines(jobs[0].folder, "val/loss", ["forest"])
    assert found["baselines"]["linear regression"]["val/loss"] < found["baselines"]["quantiles"]["val/loss"]
    assert found["baselines"]["quantiles"]["val/coverage"] == pytest.approx(0.8, abs=0.15)
    assert "random forest" in found["note"]
    make_board(tmp_path / "sweep")
    out = capsys.readouterr().out
    assert "baseline: linear regression" in out
    assert "ensemble on the test samples: loss" in out
