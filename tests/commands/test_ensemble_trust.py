"""An ensemble does not execute anything in its members' checkpoints, and has no members outside of the sweep."""

import json

import pytest
from trust_helpers import SMALL, poison, rejects

from kindling import UserError
from kindling.commands.ensemble import ensemble

trained_together = pytest.importorskip("sweeps.sweep_helpers", reason="sweep is stripped").trained_together


def test_an_ensemble_does_not_execute_the_contents_of_a_checkpoint(tmp_path):
    jobs = trained_together(tmp_path, [[*SMALL, f"seed={seed}"] for seed in (0, 1)])
    rejects(poison(jobs[0].folder / "checkpoints/best.ckpt"), ensemble, tmp_path)


def test_a_member_outside_of_the_sweep_is_rejected(tmp_path):
    predictor = pytest.importorskip("kindling.training.prediction.ensemble_predictor", reason="predict is stripped")
    (tmp_path / "ensemble.json").write_text(json.dumps({"weights": {"../run": 1.0}}))
    with pytest.raises(UserError, match=r"ensemble\.json names the folder '\.\./run'"):
        predictor.EnsemblePredictor(tmp_path)


def test_a_job_outside_of_the_sweep_is_rejected(tmp_path):
    (tmp_path / "jobs.json").write_text(json.dumps({"jobs": [{"folder": "/etc", "overrides": []}]}))
    with pytest.raises(UserError, match=r"jobs\.json names the folder '/etc'"):
        ensemble(tmp_path)
