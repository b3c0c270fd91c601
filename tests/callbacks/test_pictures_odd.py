"""Pictures of unusual tables, errors while drawing, and the steps of pictures in TensorBoard."""

import pytest
from conftest import built, slow_after
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kindling.files import PACKAGE
from kindling.plots import loss_path as path


@pytest.mark.parametrize("place", slow_after(2, [
    *("plots.tensorboard.write_histograms", "plots.tensorboard.write_graph", "plots.tensorboard.write_pr_curves"),
    *("plots.data_summary.data_summary", "plots.loss_path.draw_path", "callbacks.pictures.stage_predictions"),
]))  # fmt: skip
def test_each_kind_of_picture_may_fail_separately(run, monkeypatch, caplog, place):
    def broken(*_, **__):
        raise ValueError("no colours")

    monkeypatch.setattr(f"{PACKAGE.name}.{place}", broken)
    args = ["data=line", "model=linear"] if "loss_path" in place else ["data=blobs", "model=linear"]
    assert "test/loss" in run(*args, "epochs=1", "pictures=final")["metrics"]
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.endswith("skipped, ValueError: no colours")


CELLS = [(i % 7, i % 5, i) for i in range(60)]
TABLES = {
    "names that could be formulas": [
        "$a,$b_$,y",
        *(f"{a},{b},{'under $10' if i % 2 else '$10_$20'}" for a, b, i in CELLS),
    ],
    "unusual names": ['"a^{b\\",_b,y', *(f"{a},{b},{['_x', 'a|b', 'x' * 300, '猫'][i % 4]}" for a, b, i in CELLS)],
    "constant columns": ["a,b,y", *(f"5,5,{i % 2}" for _, _, i in CELLS)],
    "gaps": ["a,b,y", *(f"{a if i % 3 else ''},{'' if i % 5 else 1.5},{i % 2}" for a, b, i in CELLS)],
    "one class in the test samples": ["a,b,y", *(f"{a},{b},{int(i == 3)}" for a, b, i in CELLS)],
    "a constant target": ["a,b,y", *(f"{a},{b},14.62" for a, b, _ in CELLS)],
    "one input": ["$x,y", *(f"{a},{i}" for a, _, i in CELLS)],
}


@pytest.mark.slow
@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES)
def test_every_picture_of_an_unusual_table_is_drawn(run, tmp_path, caplog, rows):
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    task = "regression" if rows[0] == "$x,y" or rows[1].endswith("14.62") else "auto"
    args = ["data=csv", f"data.path={tmp_path / 't.csv'}", f"data.task={task}"]
    few_val = ["data.val_share=0.017", "data.test_share=0.017"] if "5,5" in rows[1] else []
    assert run(*args, *few_val, "epochs=1", "pictures=series", "hidden_sizes=[3]")["status"] == "finished"
    assert "skipped" not in caplog.text


def test_all_pictures_of_the_best_weights_are_at_the_same_step(run, tmp_path):
    result = run("data=ring", "epochs=6", "lr=0.3", "pictures=final")
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    images = {event.step for tag in events.Tags()["images"] for event in events.Images(tag)}
    curves = {event.step for tag in events.Tags()["tensors"] if tag[:3] == "pr/" for event in events.Tensors(tag)}
    assert images == curves == {result["best_epoch"]}
    assert result["best_epoch"] < 6


def test_the_axes_of_the_training_path_state_what_is_scaled():
    args = ["data=line", "model=linear"]
    for more, scaled in ((["scale=none"], "(scaled target)"), ([], "(scaled inputs and target)")):
        data, model = built(*args, *more)
        axes = path.draw_path(model, data, [[0.0, 0.0], [0.5, 0.1]], "now").axes
        assert axes[0].get_xlabel() == f"net.0.weight {scaled}"
        assert axes[1].get_ylabel() == "log10 of the training loss (scaled target)"
