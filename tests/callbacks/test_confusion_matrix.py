"""The confusion matrix: text, figure and CSV have the counts of the run."""

import csv

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kindling.callbacks.confusion_matrix import ConfusionMatrix
from kindling.cli.build import build
from kindling.models.mlp import Deep
from kindling.plots.confusion_matrix import draw, markdown, text
from kindling.plots.save import png

COUNTS, NAMES = [[50, 7], [8, 12]], ["negative", "positive"]


def test_the_csv_equals_scikit_learns_counts_for_the_best_weights(run, tmp_path, capsys):
    from conftest import compose_config

    run("epochs=4", "batch_size=37")
    data = build(compose_config().data)
    data.setup()
    x, y = data.samples["test"]
    model = Deep.load_from_checkpoint(tmp_path / "run/checkpoints/best.ckpt", weights_only=True).eval()
    expected = confusion_matrix(y[:, 0].numpy(), model.task.preds(model(x)).numpy())
    with (tmp_path / "run/confusion_matrix.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == ["true", "negative", "positive"]
    assert [row[0] for row in rows] == NAMES
    assert (np.array([row[1:] for row in rows], dtype=int) == expected).all()
    assert (tmp_path / "run/confusion_matrix.png").stat().st_size > 5_000


def test_tensorboard_has_the_counts_of_every_epoch_and_figures_of_the_best_epoch_and_the_test(run, tmp_path):
    result = run("epochs=4")
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    texts = [event.tensor_proto.string_val[0].decode() for event in events.Tensors("confusion/val/text_summary")]
    counts = [[int(cell) for row in text.splitlines()[2:] for cell in row.split("|")[2:4]] for text in texts]
    accuracy = [event.value for event in events.Scalars("val/accuracy")]
    assert [(tn + tp) / 77 for tn, _, _, tp in counts] == pytest.approx(accuracy)
    assert [event.step for event in events.Images("confusion/val")] == [result["best_epoch"]]
    assert [event.step for event in events.Images("confusion/test")] == [4]


def test_a_run_without_validation_samples_shows_training_samples(run, tmp_path):
    run("experiment=lectures/diabetes", "epochs=2")
    tags = EventAccumulator(str(tmp_path / "run")).Reload().Tags()["images"]
    assert tags == ["confusion/train"]
    assert not (tmp_path / "run/confusion_matrix.png").exists()


def test_regression_has_no_confusion_matrix(run, tmp_path, table):
    args = [override for override in table if override != "trainer=cpu"]
    result = run(*args, "data.task=regression", "epochs=2")
    assert {"test/mse", "test/r2"} <= result["metrics"].keys()
    assert not (tmp_path / "run/confusion_matrix.csv").exists()


@pytest.mark.parametrize("names", [["under $10", "$10_$20"], ["x" * 500, ""], ["_a", "{b^"]], ids=str)
def test_a_matrix_with_any_class_names_can_be_drawn(names):
    assert png(draw(COUNTS, names, "test samples")).startswith(b"\x89PNG")
    assert len(markdown(COUNTS, names).splitlines()) == 4
    assert max(map(len, text(COUNTS, names).splitlines())) < 80


@pytest.mark.parametrize("place", ["draw", "markdown", "text", "write_counts"])
def test_an_error_while_drawing_is_one_warning_and_the_test_metrics_are_kept(run, monkeypatch, caplog, place):
    def broken(*_, **__):
        raise ValueError("no colours")

    monkeypatch.setattr(f"{ConfusionMatrix.__module__}.{place}", broken)
    result = run("epochs=2")
    assert (result["status"], "test/accuracy" in result["metrics"]) == ("finished", True)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert 1 <= len(lines) <= 2
    assert all(line.startswith("confusion matrix of") and line.endswith("ValueError: no colours") for line in lines)


def test_the_figure_shows_counts_and_shares_of_rows():
    axes = draw(COUNTS, NAMES, "test samples").axes[0]
    assert axes.get_title() == "Confusion matrix\ntest samples"
    shown = [label.get_text() for label in axes.texts]
    assert shown == ["50\n88%", "7\n12%", "8\n40%", "12\n60%"]
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    x_label, y_label = "predicted class\n(count, and share of the true class)", "true class"
    assert (axes.get_xlabel(), axes.get_ylabel()) == (x_label, y_label)
    assert axes.images[0].get_array().tolist() == pytest.approx(np.array(COUNTS) / [[57], [20]])


def test_text_and_markdown_have_a_row_for_every_true_class():
    assert [line.split() for line in text(COUNTS, NAMES).splitlines()[1:]] == [
        ["negative", "positive"],
        ["negative", "50", "7"],
        ["positive", "8", "12"],
    ]
    assert markdown(torch.tensor(COUNTS).tolist(), NAMES).splitlines()[-1] == "| positive | 8 | 12 |"
