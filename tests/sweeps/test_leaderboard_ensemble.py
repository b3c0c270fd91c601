"""The line of the selected ensemble on the leaderboard."""

import csv
import json

import pytest
from sweeps.sweep_helpers import trained_together

from kindling.sweeps.leaderboard.ensemble import add
from kindling.sweeps.leaderboard.make import make_board

SMALL = ["data=diabetes", "epochs=2", "depth=1", "width=4"]


@pytest.fixture
def sweep(tmp_path):
    """Return sweep("seed=0", "seed=1 lr=0.1", ...), which trains these jobs and returns the sweep's folder."""

    def train(*variants: str):
        trained_together(tmp_path, [[*SMALL, *own.split()] for own in variants])
        return tmp_path

    return train


THREE = ("lr=0.01 seed=0", "lr=0.01 seed=1", "lr=0.03 seed=0")


def test_the_line_has_the_scores_of_the_ensemble(sweep, capsys):
    folder = sweep(*THREE)
    board = make_board(folder)
    shown = capsys.readouterr().out
    found = json.loads((folder / "ensemble.json").read_text())
    row = board.ensemble
    assert row.name == f"{len(found['weights'])} of 3 jobs"
    assert row.mean == found["validation"]["metrics"]["val/loss"]
    assert row.mean <= min(score for variant in board.rows for score in variant.scores) + 1e-6
    assert f"ensemble: {row.name}" in shown
    tested = [line for line in shown.splitlines() if "on the test samples" in line]
    assert [line.split()[0] for line in tested] == ["winner", "ensemble"]
    assert f"loss {found['metrics']['test/loss']:.4f}" in tested[1]
    with (folder / "leaderboard.csv").open(encoding="utf-8") as file:
        kinds = [line["status"] for line in csv.DictReader(file)]
    assert kinds == ["finished", "finished", "ensemble", "baseline", "baseline"]
    page = (folder / "leaderboard.md").read_text(encoding="utf-8")
    assert f"| ensemble: {row.name} |" in page
    assert tested[1] in page


def test_it_is_read_from_the_file_until_a_job_changes(sweep, monkeypatch):
    folder = sweep(*THREE)
    first = make_board(folder).ensemble
    monkeypatch.setattr(add, "MAX_SECONDS", 0)  # making it again would be refused
    assert make_board(folder).ensemble == first
    next(folder.glob("*/checkpoints/best.ckpt")).touch()
    assert make_board(folder).ensemble is None


def test_one_that_another_metric_has_selected_is_shown_with_the_metric_of_the_leaderboard(sweep):
    folder = sweep(*THREE)
    found = pytest.importorskip("kindling.commands.ensemble").ensemble(folder, metric="val/accuracy")
    row = make_board(folder).ensemble
    assert row.name == f"{len(found['weights'])} of 3 jobs, selected by val/accuracy"
    assert row.mean == found["validation"]["metrics"]["val/loss"]


@pytest.mark.parametrize("file", [".hydra/config.yaml", "checkpoints/best.ckpt"])
def test_a_missing_file_without_which_there_is_none_is_named(sweep, file):
    folder = sweep(*THREE)
    missing = next(folder.glob(f"*/{file}"))
    missing.unlink()
    board = make_board(folder)
    assert board.ensemble is None
    assert f"No ensemble: {missing} is missing" in board.notes


@pytest.mark.slow
def test_each_fold_is_a_score(sweep):
    folder = sweep(*(f"lr={lr} data.folds=3 data.fold={fold}" for lr in (0.01, 0.03) for fold in range(3)))
    board = make_board(folder)
    assert len(board.ensemble.scores) == 3
    assert board.ensemble.mean <= min(row.mean for row in board.rows) + 1e-6


@pytest.mark.parametrize(
    "variants",
    [
        ("seed=0", "seed=1"),
        ("loss=mse seed=0", "loss=mse seed=1", "seed=0", "seed=1"),
        ("data.split_seed=1 seed=0", "data.split_seed=1 seed=1", "seed=0", "seed=1"),
    ],
    ids=["two jobs", "losses", "splits"],
)
def test_there_is_none_of_two_jobs_or_of_incomparable_ones(sweep, variants):
    folder = sweep(*variants)
    board = make_board(folder)
    assert board.ensemble is None
    assert not (folder / "ensemble.json").exists()


@pytest.mark.parametrize(("limit", "value"), [("MAX_JOBS", 2), ("MAX_SECONDS", 0.05)])
def test_a_note_says_how_to_make_an_expensive_one(sweep, monkeypatch, limit, value):
    folder = sweep(*THREE)
    monkeypatch.setattr(add, limit, value)
    board = make_board(folder)
    assert board.ensemble is None
    (note,) = [note for note in board.notes if note.startswith("No ensemble")]
    assert "predicting with 3 jobs takes longer: python -m kindling ensemble sweep=" in note


def test_an_error_does_not_end_the_leaderboard(sweep):
    folder = sweep(*THREE)
    next(folder.glob("*/checkpoints/best.ckpt")).write_bytes(b"")
    board = make_board(folder)
    assert board.ensemble is None
    assert any(note.startswith("No ensemble: ") and "cannot be read" in note for note in board.notes)
