"""Averaging the jobs of a sweep does not run a program that one's checkpoint holds."""

import pytest
from trust_helpers import SMALL, poison, refuses

from kindling.commands.ensemble import ensemble

trained_together = pytest.importorskip("sweeps.sweep_helpers", reason="sweep is stripped").trained_together


def test_ensemble_does_not_run_what_a_jobs_checkpoint_holds(tmp_path):
    jobs = trained_together(tmp_path, [[*SMALL, f"seed={seed}"] for seed in (0, 1)])
    refuses(poison(jobs[0].folder / "checkpoints/best.ckpt"), ensemble, tmp_path)
