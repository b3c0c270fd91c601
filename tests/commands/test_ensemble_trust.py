"""An ensemble does not execute anything in its members' checkpoints."""

import pytest
from trust_helpers import SMALL, poison, rejects

from kindling.commands.ensemble import ensemble

trained_together = pytest.importorskip("sweeps.sweep_helpers", reason="sweep is stripped").trained_together


def test_an_ensemble_does_not_execute_the_contents_of_a_checkpoint(tmp_path):
    jobs = trained_together(tmp_path, [[*SMALL, f"seed={seed}"] for seed in (0, 1)])
    rejects(poison(jobs[0].folder / "checkpoints/best.ckpt"), ensemble, tmp_path)
