"""The leaderboard of a sweep from elsewhere executes nothing."""

import json

from sweeps.sweep_helpers import trained_together
from trust_helpers import SMALL, poison

from kindling.sweeps.leaderboard.make import make_board


def test_a_leaderboard_executes_neither_checkpoints_nor_html(tmp_path):
    jobs = trained_together(tmp_path, [[*SMALL, f"seed={seed}"] for seed in (0, 1, 2)])
    witnesses = [poison(job.folder / "checkpoints/best.ckpt") for job in jobs]
    listed = json.loads((tmp_path / "jobs.json").read_text())
    for i, entry in enumerate(listed["jobs"]):
        entry["overrides"].append(f"note=<script>{i}")
    (tmp_path / "jobs.json").write_text(json.dumps(listed))
    board = make_board(tmp_path)
    assert [job.status for job in board.jobs] == ["finished"] * 3
    assert not any(witness.exists() for witness in witnesses)
    assert "&lt;script>" in (tmp_path / "leaderboard.md").read_text()
    assert "<script" not in (tmp_path / "leaderboard.md").read_text()
