"""The leaderboard of a sweep: variants are ranked and compared with baselines and the noise between seeds."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import compose_config
from omegaconf import OmegaConf
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sweeps.leaderboard_helpers import TESTED, job_writer

from kindling import UserError
from kindling.cli.build import build
from kindling.sweeps.leaderboard.baselines import score as baselines
from kindling.sweeps.leaderboard.baselines.linear import fit_line
from kindling.sweeps.leaderboard.board import rank
from kindling.sweeps.leaderboard.callback import Leaderboard
from kindling.sweeps.leaderboard.effects.estimate import effects, robust_limits, share_between
from kindling.sweeps.leaderboard.jobs import read_jobs
from kindling.sweeps.leaderboard.make import make_board
from kindling.sweeps.leaderboard.significance import permutation_p
from kindling.training.prediction import evaluate as evaluate_module

SEEDS = [-0.002, -0.001, 0.0, 0.001, 0.002]  # each seed's effect on a score


@pytest.fixture
def sweep(tmp_path) -> Path:
    return tmp_path / "sweep"


@pytest.fixture
def job(sweep):
    return job_writer(sweep)


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "leaderboard.csv", dtype={"rank": "Int64"})


def variant(job, *args: str, mean: float, seeds=SEEDS, **more) -> None:
    for seed, shift in enumerate(seeds):
        job(*args, f"seed={seed}", score=mean + shift, **more)


def scipy_p(a, b) -> float:
    """Return the two-sided p-value over all splits."""
    samples, all_splits = (np.array(a), np.array(b)), {"n_resamples": np.inf, "vectorized": True}
    return stats.permutation_test(samples, lambda a, b, axis: a.mean(axis) - b.mean(axis), **all_splits).pvalue


def test_the_best_variant_wins_and_the_checkpoint_of_its_best_seed_is_named(job, sweep, capsys):
    variant(job, "activation=relu", "depth=2", mean=0.5)
    variant(job, "activation=tanh", "depth=2", mean=0.488)
    variant(job, "activation=tanh", "depth=4", mean=0.6)
    board = make_board(sweep)
    assert [board.label(row.options) for row in board.rows] == ["tanh depth=2", "relu depth=2", "tanh depth=4"]
    shown = capsys.readouterr().out
    assert (
        "tanh depth=2 leads relu depth=2 by 0.012 in val/loss, which is larger than the noise between seeds "
        "(permutation test, p = 0.0079)." in shown
    )
    assert "command: python train.py activation=tanh depth=2 seed=0" in shown
    assert "sweep/activation=tanh_depth=2_seed=0/checkpoints/best.ckpt" in shown
    assert "winner on the test samples: loss 0.5000  accuracy 0.7500" in shown
    page = (sweep / "leaderboard.md").read_text(encoding="utf-8")
    assert "| 1 | tanh | 2 | 0.4880 ± 0.0016 | 5 |" in page
    assert "command: `python train.py activation=tanh depth=2 seed=0`" in page
    assert "winner on the test samples: loss 0.5000" in page
    assert (sweep / "effects.png").stat().st_size > 10_000
    assert not list(sweep.glob("*.part"))


def test_a_lead_within_the_noise_between_seeds_is_called_a_tie(job, sweep, capsys):
    relu, tanh = [0.5, 0.52, 0.513, 0.507, 0.531], [0.501, 0.512, 0.493, 0.522, 0.509]
    variant(job, "activation=relu", mean=0, seeds=relu)
    variant(job, "activation=tanh", mean=0, seeds=tanh)
    make_board(sweep)
    expected = f"within the noise between seeds (permutation test, p = {scipy_p(tanh, relu):.2g}): treat them as tied."
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize("seeds", [1, 3])
def test_too_few_seeds_are_reported(job, sweep, capsys, seeds):
    variant(job, "activation=relu", mean=0.5, seeds=SEEDS[:seeds])
    variant(job, "activation=tanh", mean=0.1, seeds=SEEDS[:seeds])
    make_board(sweep)
    expected = (
        f"; {'one run each is' if seeds == 1 else '3 seeds each are'} too few to tell whether this is more than "
        "noise: train at least 4 of each, e.g. repeat=5."
    )
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(("n", "m"), [(4, 4), (5, 5), (3, 7), (8, 6), (2, 30)])
def test_the_p_value_equals_scipys(n, m):
    random = np.random.default_rng(n)
    a, b = random.normal(size=n).round(1), random.normal(0.7, size=m).round(1)  # with ties
    assert permutation_p(list(a), list(b)) == pytest.approx(scipy_p(a, b))


def test_random_splits_of_many_seeds_approximate_the_exact_p_value():
    random = np.random.default_rng(1)
    a, b = random.normal(size=10), random.normal(0.6, size=10)  # 184,756 splits
    assert permutation_p(list(a), list(b)) == pytest.approx(scipy_p(a, b), abs=0.01)
    assert permutation_p(list(a), list(b)) == permutation_p(list(a), list(b))


def test_seeds_form_one_row_with_mean_and_standard_deviation_and_failed_jobs_have_no_rank(job, sweep, capsys):
    scores = [0.5, 0.7, 0.4, 0.6]
    for seed, score in enumerate(scores):
        job("lr=0.1", f"seed={seed}", score=score, metrics={"val/accuracy": 1 - score})
    job("lr=0.1", "seed=4", status="diverged", diverged="train/loss is nan in epoch 2")
    job("lr=1", "seed=0", status="failed", error="ValueError: a\nb")
    with pytest.raises(SystemExit) as ended:
        Leaderboard().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(sweep)}}}))
    assert ended.value.code == 1
    shown = capsys.readouterr().out
    assert "4 of 5" in shown
    assert "diverged: lr=0.1 (train/loss is nan in epoch 2)" in shown
    ranked, diverged, failed = table(sweep).to_dict("records")
    assert ranked["val/loss"] == pytest.approx(np.mean(scores))
    assert ranked["val/loss std"] == pytest.approx(np.std(scores, ddof=1))
    assert ranked["val/accuracy"] == pytest.approx(1 - np.mean(scores))
    assert (ranked["n"], ranked["jobs"], ranked["params"], ranked["seconds"]) == (4, 5, 33, 10.0)
    assert [(row["status"], row["reason"]) for row in (diverged, failed)] == [
        ("diverged", "train/loss is nan in epoch 2"),
        ("failed", "ValueError: a b"),
    ]
    assert pd.isna(failed["rank"])
    assert not (sweep / "effects.png").exists()  # there is nothing to compare


def test_a_sweep_whose_jobs_all_finished_does_not_exit(job, sweep):
    job("lr=0.1", score=0.5)
    Leaderboard().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(sweep)}}}))
    assert table(sweep)["status"].tolist() == ["finished"]


def test_with_mode_max_the_highest_is_first(job, sweep, capsys):
    for activation, score in {"relu": 0.7, "tanh": 0.9, "sigmoid": 0.8}.items():
        variant(job, f"activation={activation}", mean=score, monitor="val/accuracy", mode="max")
    make_board(sweep)
    assert table(sweep)["activation"].tolist() == ["tanh", "sigmoid", "relu"]
    shown = capsys.readouterr().out
    assert "tanh leads sigmoid by 0.1 in val/accuracy" in shown
    assert "activation=tanh seed=4" in shown  # its best seed


def test_only_the_listed_jobs_count_and_one_without_a_result_is_unfinished(job, sweep):
    names = [job("lr=0.1", score=0.5).name, job("lr=0.2", score=0.4).name]
    job("lr=0.3", score=0.1)  # of an earlier sweep with this name
    (sweep / names[1] / "result.json").unlink()
    entries = [{"folder": name, "overrides": [f"lr={lr}", "hydra.x=1"]} for name, lr in zip(names, "12", strict=True)]
    gone = {"folder": "never_started", "overrides": ["lr=3", "on_error=stop"]}
    (sweep / "jobs.json").write_text(json.dumps({"jobs": [*entries, gone]}))
    board = make_board(sweep)
    assert [(job.status, job.options) for job in board.jobs] == [
        ("finished", {"lr": "1"}),
        ("unfinished", {"lr": "2"}),
        ("unfinished", {"lr": "3"}),
    ]
    assert (board.options, len(board.rows), len(board.unranked)) == (["lr"], 1, 2)


def test_an_option_that_only_some_jobs_have_is_swept_and_an_undefined_score_has_no_rank(job, sweep):
    job("depth=3", score=0.5)
    job("+width=9", "depth=3", score=0.4)
    job("+width=8", "depth=3", score=None)
    board = rank(sweep, read_jobs(sweep))
    assert [row.options for row in board.rows] == [{"width": "9"}, {"width": ""}]
    assert [job.reason for job in board.unranked] == ["it has no finite val/loss"]


def test_variants_on_different_data_are_not_compared(job, sweep, capsys):
    for override in ("data=diabetes", "data=line"):
        job(override, score=0.5)
    make_board(sweep)
    expected = "The variants use different data: compare each one's val/loss only with its own baselines."
    assert expected in capsys.readouterr().out


def test_without_validation_samples_the_training_loss_is_compared(job, sweep):
    for lr, loss in (("1", 0.3), ("2", 0.2)):
        job(f"lr={lr}", score=loss, metrics={"train/loss": loss})
        path = sweep / f"lr={lr}" / "result.json"
        result = json.loads(path.read_text())
        del result["metrics"]["val/loss"]
        path.write_text(json.dumps(result))
    board = rank(sweep, read_jobs(sweep))
    assert (board.metric, [row.mean for row in board.rows]) == ("train/loss", [0.2, 0.3])


def test_the_console_shows_twenty_rows_and_the_csv_shows_all(job, sweep, capsys):
    for width in range(25):
        job(f"width={width}", score=0.5 + 0.01 * width)
    make_board(sweep)
    shown = capsys.readouterr().out
    assert "... 5 more in leaderboard.csv" in shown
    assert "0.6900" in shown
    assert "0.7000" not in shown
    assert len(table(sweep)) == 25


def test_a_folder_without_jobs_is_rejected(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        command = [sys.executable, "-m", "kindling", "leaderboard", str(folder)]
        rejected = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (rejected.returncode, str(folder) in rejected.stderr, "sweep" in rejected.stderr) == (2, True, True)


def test_importing_it_loads_no_heavy_library():
    heavy = {"torch", "pandas", "matplotlib", "numpy", "scipy", "sklearn", "pytorch_lightning"}
    code = f"import sys, kindling.sweeps.leaderboard.callback; print({heavy!r} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True).stdout
    assert shown == "set()\n"


def data_of(cfg) -> dict:
    data = build(cfg.data)
    data.setup()
    rows = {stage: (x.double().numpy(), y.double().numpy()) for stage, (x, y) in data.samples.items()}
    return {**rows, "std": data.transform.get("target_std")}


@pytest.mark.parametrize("args", [["data=diabetes"], ["data=blobs", "data.centres=4"]])
def test_the_classification_baselines_equal_scikit_learns(job, sweep, args):
    cfg = compose_config(*args)
    job(*args, score=9.0, config=cfg)
    board = make_board(sweep)
    rows = data_of(cfg)
    (x, y), (x_val, y_val) = rows["train"], rows["val"]
    y, y_val = y.ravel().astype(int), y_val.ravel().astype(int)
    line = LogisticRegression(C=1e4 / len(x), tol=1e-10, max_iter=1_000).fit(x, y)
    oracles = {"majority class": DummyClassifier(strategy="prior").fit(x, y), "logistic regression": line}
    assert [row.name for row in board.baselines] == list(oracles)
    for row in board.baselines:
        oracle = oracles[row.name]
        assert row.mean == pytest.approx(log_loss(y_val, oracle.predict_proba(x_val)), abs=1e-5)
        assert row.others["val/accuracy"] == pytest.approx(accuracy_score(y_val, oracle.predict(x_val)))
    assert [row["status"] for row in table(sweep).to_dict("records")] == ["finished", "baseline", "baseline"]
    assert f"No variant is better than the baseline logistic regression ({board.baselines[1].mean:.4f})." in board.notes


def test_the_baselines_use_the_loss_of_the_jobs_however_it_is_given(job, sweep):
    for args in (["loss=hinge"], ["model.loss=hinge"], ["lr=1"]):
        job(*args, score=0.5, config=compose_config("data=diabetes", *args))
    found = {row.mean for row in make_board(sweep).baselines if row.name == "majority class"}
    assert len(found) == 2  # hinge twice, and the cross-entropy


def test_the_regression_baselines_are_the_mean_and_least_squares_in_the_units_of_the_target(job, sweep):
    cfg = compose_config("data=polynomial", "data.noise=1")
    job("lr=1", score=1e-9, config=cfg, monitor="val/mse")
    board = make_board(sweep)
    rows = data_of(cfg)
    (x, y), (x_val, y_val) = rows["train"], rows["val"]
    line = LinearRegression().fit(x, y).predict(x_val)
    for row, preds in zip(board.baselines, (y.mean(0), line), strict=True):
        assert row.mean == pytest.approx((((preds - y_val) * rows["std"]) ** 2).mean(), rel=1e-5)
    assert [row.name for row in board.baselines] == ["mean", "linear regression"]


@pytest.mark.slow
def test_each_data_set_has_baselines_averaged_over_its_splits_and_they_are_cached(job, sweep, monkeypatch):
    for features in ("none", "radius"):
        for split in (0, 1):
            args = ["data=ring", f"features={features}", f"data.split_seed={split}"]
            job(*args, score=0.5, config=compose_config(*args))
    board = make_board(sweep)
    known = [(row.name, row.options, row.count) for row in board.baselines]
    names = ("majority class", "logistic regression")
    assert known == [(name, {"features": f}, "2") for f in ("none", "radius") for name in names]
    by_name = {(row.name, row.options["features"]): row.mean for row in board.baselines}
    assert by_name[names[1], "radius"] < 0.3 < by_name[names[1], "none"]  # a ring is a threshold of the radius
    monkeypatch.setattr(baselines, "build", None)
    assert [row.mean for row in make_board(sweep).baselines] == [row.mean for row in board.baselines]


def test_a_scaling_that_comes_with_a_model_gives_no_second_baselines(job, sweep):
    for model, score in (("deep", 0.4), ("realmlp", 0.5)):
        job(f"model={model}", score=score, config=compose_config("data=diabetes", f"model={model}"))
    assert [row.name for row in make_board(sweep).baselines] == ["majority class", "logistic regression"]


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ({"_target_": "pytorch_lightning.LightningDataModule"}, "No baselines: LightningDataModule is not a subclass"),
        ({"_target_": "kindling.data.tables.table.Table", "path": "gone.csv", "target": "y"}, "gone.csv: no such file"),
    ],
)
def test_a_note_explains_why_the_data_cannot_be_built(job, sweep, capsys, data, note):
    job("lr=1", score=0.5, config={"data": data, "seed": 0})
    assert make_board(sweep).baselines == []
    assert note in capsys.readouterr().out


def test_a_note_explains_that_images_have_no_linear_baseline(job, sweep, capsys):
    job("lr=1", score=0.5, config=compose_config("data=mnist_sample"))
    assert [row.name for row in make_board(sweep).baselines] == ["majority class"]
    assert "No logistic regression as a baseline: the inputs are images." in capsys.readouterr().out


def test_the_marginal_means_equal_a_group_by_and_the_strongest_option_is_first(job, sweep):
    random = np.random.default_rng(0)
    for activation, bonus in {"relu": 0.0, "tanh": 0.3, "sigmoid": 0.6}.items():
        for depth in (10, 1, 2):
            job(f"activation={activation}", f"depth={depth}", score=0.5 + bonus + 0.1 * random.random())
    found = effects(rank(sweep, read_jobs(sweep)))
    make_board(sweep)
    frame = table(sweep)
    assert [effect.option for effect in found] == ["activation", "depth"]
    assert list(found[1].means) == ["1", "2", "10"]
    for effect in found:
        groups = frame.astype({effect.option: str}).groupby(effect.option)["val/loss"]
        assert effect.means == pytest.approx(groups.mean().to_dict())
        assert effect.stds == pytest.approx(groups.std().to_dict())
        explained = groups.transform("mean").var() / frame["val/loss"].var()
        assert effect.strength == pytest.approx(explained)


def test_the_range_of_the_figure_excludes_outliers_only_on_the_worse_side():
    good = [0.5, 0.51, 0.52, 0.53, 0.54]
    assert robust_limits([*good, 1e6], "min") == (0.5, 0.54)
    assert robust_limits([*good, 1e6, 1e5, 2e5, 3e9], "min") == (0.5, 0.54)
    assert robust_limits([*good, 0.001], "min") == (0.001, 0.54)
    assert robust_limits([*good, -40.0], "max") == (0.5, 0.54)
    assert robust_limits([0.5, 0.9], "min") == (0.5, 0.9)


def test_only_the_winner_is_tested_afterwards(job, sweep, capsys, monkeypatch):
    tested = []
    monkeypatch.setattr(evaluate_module, "evaluate", lambda folder: tested.append(folder.name) or {"test/loss": 0.25})
    for lr, score in (("1", 0.4), ("2", 0.3)):
        job(f"lr={lr}", score=score, metrics=dict.fromkeys(TESTED))
        path = sweep / f"lr={lr}" / "result.json"
        result = json.loads(path.read_text())
        path.write_text(json.dumps({**result, "metrics": {"val/loss": score}}))
    make_board(sweep)
    assert tested == ["lr=2"]
    assert "winner on the test samples: loss 0.2500" in capsys.readouterr().out

    def reject(folder):
        raise UserError("no test samples")

    monkeypatch.setattr(evaluate_module, "evaluate", reject)
    make_board(sweep)
    assert "The winner was not tested: no test samples" in capsys.readouterr().out


def test_with_test_true_every_job_is_tested(job, sweep, monkeypatch):
    tested = []
    monkeypatch.setattr(evaluate_module, "evaluate", lambda folder: tested.append(folder.name) or {"test/loss": 0.25})
    for lr, score in (("1", 0.4), ("2", 0.3)):
        folder = job(f"lr={lr}", "test=True", score=score)
        result = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps({**result, "metrics": {"val/loss": score}}))
    make_board(sweep)
    assert sorted(name.split("_")[0] for name in tested) == ["lr=1", "lr=2"]


def test_every_line_of_the_csv_has_a_cell_for_every_column(job, sweep):
    variant(job, "lr=0.1", mean=0.5, config=compose_config("data=blobs"))
    job("lr=1", "seed=0", status="failed", error="x, y")
    make_board(sweep)
    with (sweep / "leaderboard.csv").open(encoding="utf-8") as file:
        lengths = {len(line) for line in csv.reader(file)}
    assert len(lengths) == 1


def test_the_linear_baseline_ignores_a_constant_column():
    x = torch.randn(50, 2)
    y = 2 * x[:, :1] + 1
    x[:, 1] = 36.6
    facts = {"task": "regression", "input_shape": [2], "num_outputs": 1}
    new = torch.tensor([[1.0, 36.7]])
    assert fit_line(facts, x, y)(new).item() == pytest.approx(3.0, abs=1e-4)


def test_scores_that_differ_only_by_rounding_have_no_variance_to_explain():
    assert share_between([[0.1, 0.1, 0.1], [0.1, 0.1 + 1e-17, 0.1]]) == 0.0


def test_variants_that_choose_their_epoch_by_different_values_are_not_compared(job, sweep, capsys):
    job("model=deep", score=0.5)
    metrics = {"val/loss": 0.4, "val/error": 0.1, "val/accuracy": 0.9}
    job("model=realmlp", score=0.4, monitor="val/error", metrics=metrics)
    make_board(sweep)
    output = capsys.readouterr().out
    assert "differ in the monitored value" in output
    assert "monitor=val/accuracy" in output
    assert "leads" not in output


@pytest.mark.parametrize(("option", "values"), [("loss", ("bce", "mse")), ("data.val_share", ("0.1", "0.2"))])
def test_variants_whose_metric_is_computed_differently_are_not_compared(job, sweep, capsys, option, values):
    for value in values:
        job(f"{option}={value}", score=0.5)
    make_board(sweep)
    assert f"The variants differ in {option}, so their val/loss cannot be compared." in capsys.readouterr().out
