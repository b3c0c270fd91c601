"""effects.png and the board when jobs diverge, values are undefined, names are unusual or drawing fails."""

from pathlib import Path

import numpy as np
import pytest
from conftest import compose_config
from sweeps.leaderboard_helpers import job_writer

from kindling import UserError
from kindling.sweeps.leaderboard.board import rank
from kindling.sweeps.leaderboard.effects.draw import draw
from kindling.sweeps.leaderboard.effects.estimate import effects, noise
from kindling.sweeps.leaderboard.effects.ticks import labels, scale_of
from kindling.sweeps.leaderboard.jobs import read_jobs
from kindling.sweeps.leaderboard.make import make_board


@pytest.fixture
def sweep(tmp_path) -> Path:
    return tmp_path / "sweep"


@pytest.fixture
def job(sweep):
    return job_writer(sweep)


def panels(figure) -> dict:
    return {axes.get_title().partition(":")[0]: axes for axes in figure.axes}


def tick_labels(axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_shares_of_options_interactions_and_noise_are_sums_of_squares_that_add_up_to_one(job, sweep):
    scores = np.random.default_rng(0).normal(size=(2, 3, 4))  # activation, depth, seed
    for (a, d, seed), score in np.ndenumerate(scores):
        job(f"activation={('relu', 'tanh')[a]}", f"depth={d}", f"seed={seed}", score=score)
    board = rank(sweep, read_jobs(sweep))
    total, cells = ((scores - scores.mean()) ** 2).sum(), scores.mean(2)
    rows, columns = cells.mean(1) - scores.mean(), cells.mean(0) - scores.mean()
    inner = cells - scores.mean() - rows[:, None] - columns
    found = {effect.option: effect.strength for effect in effects(board)}
    assert found == pytest.approx({"activation": 12 * (rows**2).sum() / total, "depth": 8 * (columns**2).sum() / total})
    assert noise(board) == pytest.approx(((scores - cells[..., None]) ** 2).sum() / total)
    assert sum(found.values()) + 4 * (inner**2).sum() / total + noise(board) == pytest.approx(1)
    figure = draw(board)
    assert f"Differences between seeds of the same variant explain {noise(board):.0%} (noise)." in figure.get_suptitle()
    for name, share in found.items():
        assert panels(figure)[name].get_title() == f"{name}: explains {share:.0%} of the variance"


def test_the_legend_explains_dots_and_squares(job, sweep):
    for activation in ("relu", "tanh"):
        job(f"activation={activation}", score=0.5)
    assert legend(draw(rank(sweep, read_jobs(sweep)))) == [
        "one job, i.e. one training run",
        "mean of the jobs with that value; the bar is their standard deviation",
    ]


def test_without_repetitions_the_noise_is_unknown(job, sweep):
    for i, score in enumerate([0.1, 0.2, 0.35, 0.3]):
        job(f"a={i % 2}", f"b={i // 2}", score=score)
    board = rank(sweep, read_jobs(sweep))
    assert noise(board) is None
    assert "The noise between seeds is unknown" in draw(board).get_suptitle()


def test_jobs_without_a_score_are_marked_and_counted_at_their_value(job, sweep):
    for activation, score in (("relu", 0.3), ("tanh", 0.4)):
        job(f"activation={activation}", "lr=0.01", score=score)
        job(f"activation={activation}", "lr=1e9", status="diverged", diverged="a loss of nan")
    job("activation=relu", "lr=0.1", score=None)
    figure = draw(rank(sweep, read_jobs(sweep)))
    expected = "jobs without a score (1 undefined, 2 diverged) and their number; not included in the percentages"
    assert legend(figure)[-1] == expected
    axes = panels(figure)["lr"]
    assert tick_labels(axes) == ["0.01", "0.1", "1e9"]
    crosses = {line.get_xdata()[0]: line for line in axes.lines if line.get_marker() == "x"}
    assert sorted(crosses) == [1, 2]
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert axes.get_title() == "lr: only one value has a score"


def test_many_numbers_are_placed_by_size_and_long_ones_are_rounded_as_long_as_they_differ():
    random = [repr(float(10**exponent)) for exponent in np.linspace(-4, -1, 20) + 0.01234]
    assert (scale_of(random), scale_of([str(i) for i in range(10, 30)]), scale_of(random[:5])) == (
        "log",
        "linear",
        None,
    )
    assert scale_of([*random, "auto"]) is None
    assert labels(["0.0010287654321", "0.25000001", "relu", "1000000", "", "under $10"]) == [
        "0.00103", "0.25", "relu", "1e+06", "not given", r"under \$10",
    ]  # fmt: skip
    assert labels(["0.12345678", "0.12345699"]) == ["0.1234568", "0.123457"]


def test_a_search_is_drawn_with_a_logarithmic_axis_and_a_dot_for_every_variant(job, sweep):
    for i, exponent in enumerate(np.linspace(-4, -1, 12)):
        job(f"lr={float(10**exponent)!r}", f"width={i % 3}", score=0.5 + 0.01 * i)
    figure = draw(rank(sweep, read_jobs(sweep)))
    assert panels(figure)["lr"].get_xscale() == "log"
    (cloud,) = panels(figure)["width and lr"].collections
    assert len(cloud.get_offsets()) == 12


NAMES = ["under $10", "$10_$20", "a^{b_c", r"\frac{", "_y", "x" * 120, "a|b"]


def test_any_names_can_be_drawn_and_keep_the_columns_of_the_tables(job, sweep):
    for i, name in enumerate(NAMES):
        job(f"+my$kind={name}", f"+$b_=a${i % 2}", score=0.1 * i)
    board = make_board(sweep)
    assert (sweep / "effects.png").stat().st_size > 10_000
    table = [line for line in (sweep / "leaderboard.md").read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    assert {line.replace(r"\|", "").count("|") for line in table} == {len(board.others) + 8}


def test_a_figure_that_fails_does_not_affect_the_ranking_or_the_test_of_the_winner(
    job, sweep, monkeypatch, capsys, caplog
):
    for lr in (1, 2):
        job(f"lr={lr}", score=0.1 * lr)
    monkeypatch.setattr("kindling.sweeps.leaderboard.effects.draw.png", None)
    make_board(sweep)
    assert "effects.png: skipped, TypeError" in caplog.text
    assert "winner on the test samples: loss 0.5000" in capsys.readouterr().out
    assert "winner on the test samples" in (sweep / "leaderboard.md").read_text()


def test_a_baseline_shows_only_the_options_that_identify_its_data(job, sweep):
    config = compose_config("data=blobs")
    job("data=blobs", "lr=1", "depth=2", score=0.5, config=config)
    job("data=blobs", "lr=2", "depth=3", status="failed", error="x")
    job("data=ring", "lr=2", "depth=2", score=0.4, config=compose_config("data=ring"))
    shown = [row.options for row in make_board(sweep).baselines]
    assert {tuple(options.values()) for options in shown} == {("blobs", "", ""), ("ring", "", "")}


def test_the_samples_of_the_metrics_are_stated(job, sweep, capsys):
    job("lr=1", score=0.5)
    make_board(sweep)
    expected = "val/loss and the metrics next to it: validation samples, best epoch of each job"
    assert expected in capsys.readouterr().out
    assert expected in (sweep / "leaderboard.md").read_text()


def test_undefined_metrics_are_shown_as_undefined(job, sweep, capsys):
    for lr in (1, 2):
        job(f"lr={lr}", score=0.1 * lr, metrics={"val/auroc": None, "test/auroc": None})
    make_board(sweep)
    shown = capsys.readouterr().out
    assert [line.split()[-3] for line in shown.splitlines()[1:3]] == ["undefined", "undefined"]
    assert "auroc undefined" in shown


@pytest.mark.parametrize("more", [{}, {"monitor": None, "mode": None}, {"metrics": {}}], ids=str)
def test_a_sweep_without_scores_has_an_empty_board(job, sweep, capsys, more):
    for lr in (1, 2):
        job(f"lr={lr}", score=None, **more)
    board = make_board(sweep)
    assert (len(board.rows), len(board.unranked)) == (0, 2)
    assert "No job finished with a finite" in capsys.readouterr().out


@pytest.mark.parametrize(("monitor", "first"), [("val/accuracy", "2"), ("val/loss", "1")])
def test_with_mode_auto_the_name_decides_what_is_better(job, sweep, monitor, first):
    for lr in (1, 2):
        job(f"lr={lr}", score=0.1 * lr, monitor=monitor, mode="auto")
    assert rank(sweep, read_jobs(sweep)).rows[0].options == {"lr": first}


def test_an_unknown_direction_is_rejected(job, sweep):
    job("lr=1", score=0.1, monitor="val/x", mode="auto")
    with pytest.raises(UserError, match="whether a higher val/x is better: train the jobs with mode=min or mode=max"):
        rank(sweep, read_jobs(sweep))
