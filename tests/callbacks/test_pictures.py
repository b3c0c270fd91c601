"""Curves equal scikit-learn's, surfaces equal the model's predictions, and event files can be read back."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import built, compose_config, slow_after, weights_of
from omegaconf import OmegaConf
from sklearn import calibration, metrics
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray
from torch.utils.tensorboard import SummaryWriter

from kindling import UserError
from kindling.activations import ACTIVATIONS
from kindling.models import capture as layers
from kindling.models.base import Model
from kindling.models.capture import in_series
from kindling.plots import activations, images, predictions, surface
from kindling.plots import loss_path as path
from kindling.plots.figures import model_figures
from kindling.plots.run_folder import draw
from kindling.plots.tensorboard import write_graph


@pytest.fixture
def finished(run, tmp_path):
    """finished("data=ring", ...) is the folder of a run with these overrides, with the config that Hydra writes."""

    def train(*args: str):
        run(*args)
        (tmp_path / "run/.hydra").mkdir()
        OmegaConf.save(compose_config(*args, "trainer=cpu"), tmp_path / "run/.hydra/config.yaml")
        return tmp_path / "run"

    return train


@pytest.fixture
def preds():
    """Return scores with many ties, and whether each sample is positive."""
    random = np.random.default_rng(0)
    positive = random.random(200) < 0.4
    return torch.tensor(np.round(random.random(200) * 0.6 + 0.3 * positive, 2)), torch.tensor(positive)


def test_points_and_area_of_the_roc_curve_equal_scikit_learns(preds):
    scores, positive = preds
    false, true, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    curve = predictions.roc(scores, positive)
    assert curve.x.tolist() == pytest.approx(false.tolist())
    assert curve.y.tolist() == pytest.approx(true.tolist())
    assert curve.area == pytest.approx(metrics.roc_auc_score(positive, scores))


def test_points_and_area_of_the_precision_recall_curve_equal_scikit_learns(preds):
    scores, positive = preds
    precision, recall, _ = metrics.precision_recall_curve(positive, scores)
    curve = predictions.precision_recall(scores, positive)
    assert curve.x.tolist() == pytest.approx(recall[:-1][::-1].tolist())  # without the added point at recall 0
    assert curve.y.tolist() == pytest.approx(precision[:-1][::-1].tolist())
    assert curve.area == pytest.approx(metrics.average_precision_score(positive, scores))


def test_calibration_equals_scikit_learns(preds):
    scores, positive = preds
    came_true, means = calibration.calibration_curve(positive, scores + 1e-3, n_bins=10)
    found = predictions.calibration(scores + 1e-3, positive)
    assert found[0].tolist() == pytest.approx(means.tolist())
    assert found[1].tolist() == pytest.approx(came_true.tolist())
    assert found[2].sum() == len(scores)


@pytest.mark.parametrize(
    "args",
    [
        ["data=ring"],
        ["data=ring", "model=linear", "features=radius"],
        ["data=blobs", "model=deep", "scale=minmax"],
        ["data=diabetes"],
    ],
    ids=" ".join,
)
def test_the_decision_surface_equals_the_predictions(args):
    data, model = built(*args)
    grid = surface.plane(data, ("glucose", "bmi") if "data=diabetes" in args else None)
    found = surface.predict(model.eval(), data, grid.x)
    places = torch.randint(len(grid.x), (20,), generator=torch.Generator().manual_seed(0))
    for place in places.tolist():
        raw = grid.x[place].double()
        column, row = place % grid.side, place // grid.side
        left, right, bottom, top = grid.extent
        first, second = (
            left + column / (grid.side - 1) * (right - left),
            bottom + row / (grid.side - 1) * (top - bottom),
        )
        assert raw[grid.places[0]] == pytest.approx(first, rel=1e-4, abs=1e-5)
        assert raw[grid.places[1]] == pytest.approx(second, rel=1e-4, abs=1e-5)
        features = raw.norm()[None] if "features=radius" in args else raw
        shift, factor = (torch.tensor(data.transform[key], dtype=torch.float64) for key in ("shift", "factor"))
        logits = model(((features - shift) * factor).float()[None])[0]
        wanted = logits.softmax(0) if data.examples.task == "multiclass" else logits.sigmoid()
        torch.testing.assert_close(found[place], wanted, atol=1e-5, rtol=0)


def test_other_columns_are_at_their_median_and_an_unknown_column_is_rejected():
    data, _ = built("data=diabetes")
    grid = surface.plane(data, ("glucose", "bmi"))
    others = [i for i in range(8) if i not in grid.places]
    lower = np.nanpercentile(data.examples.x[:, others].numpy(), 50, axis=0, method="lower")  # not interpolated
    assert grid.x[0, others].tolist() == pytest.approx(lower.tolist())
    assert surface.plane(data) is None
    with pytest.raises(UserError, match="columns=glucose,weight: there is no weight in pregnancies, glucose"):
        surface.plane(data, ("glucose", "weight"))


@pytest.mark.parametrize("model", ["deep", "wide_deep"])
def test_the_map_of_a_neuron_is_its_output(model):
    data, net = built("data=ring", f"model={model}", "hidden_sizes=[5,3]", "activation=tanh", "dropout=0.5")
    x = data.samples["train"][0][:50]
    chain = net.net if model == "deep" else net.deep
    first = torch.tanh(chain[0](x))
    last = torch.tanh(chain[3](first))
    found = surface.hidden(net, x)
    assert [layer.shape[1] for layer in found] == [5, 3]
    torch.testing.assert_close(found[0], first.detach())
    torch.testing.assert_close(found[1], last.detach())
    assert net.training  # unchanged


def test_the_loss_surface_is_the_loss_with_those_two_weights():
    data, model = built("data=line", "model=linear")
    x, y = data.samples["train"]
    points = torch.tensor([[0.5, -0.2], [1.0, 0.0]])
    wanted = [((x * w + b - y) ** 2).mean().item() for w, b in points.tolist()]
    assert path.losses_at(model, x, y, points).tolist() == pytest.approx(wanted, rel=1e-5)
    assert path.two_parameters(model) == ["net.0.weight", "net.0.bias"]
    assert path.two_parameters(built("data=ring", "model=linear")[1]) is None


def test_captured_gradients_equal_those_of_backward_and_batch_norm_is_unchanged():
    data, model = built("data=ring", "batch_norm=true")
    x, y = layers.some_samples(data, model)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    found = layers.inside(model, x, y).gradients
    model.eval()
    model.loss(model(x), y).backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(found[name], p.grad)
    assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())


def test_the_most_confident_errors_come_first():
    probabilities = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    assert images.most_wrong(probabilities, torch.tensor([0, 0, 0, 1])).tolist() == [2, 1]
    assert images.most_wrong(probabilities, torch.tensor([0, 1, 1, 1])).tolist() == []


def test_a_series_has_the_epochs_1_2_3_5_8_and_so_on():
    assert [epoch for epoch in range(1, 60) if in_series(epoch)] == [1, 2, 3, 5, 8, 13, 21, 34, 55]


def test_pictures_are_written_as_files_and_to_tensorboard_without_affecting_training(run, tmp_path):
    args = ["data=ring", "model=deep", "epochs=5", "hidden_sizes=[4,4]", "dropout=0.2"]
    run(*args, folder="without")
    result = run(*args, "pictures=series", folder="with")
    without, drawn = weights_of(tmp_path / "without"), weights_of(tmp_path / "with")
    assert all(torch.equal(without[name], drawn[name]) for name in drawn)
    files = {file.name for file in (tmp_path / "with").glob("*.png")}
    assert files == {"confusion_matrix.png", "curves_test.png", "data.png", "surface.png", "neurons.png"}
    events = EventAccumulator(str(tmp_path / "with"), size_guidance={"histograms": 0}).Reload()
    assert [event.step for event in events.Images("surface/series")] == [1, 2, 3, 5]
    best = events.Images("surface/best")[0]
    assert (best.step, best.width, best.height) == (result["best_epoch"], 520, 440)
    assert best.encoded_image_string == (tmp_path / "with/surface.png").read_bytes()
    assert [event.step for event in events.Images("curves/test")] == [result["best_epoch"]]
    histograms = events.Histograms("weights/net.0.weight")
    assert [event.step for event in histograms] == [0, 1, 2, 3, 5]
    assert histograms[-1].histogram_value.num == 8
    assert {"gradients/net.0.weight", "outputs/net.1"} <= set(events.Tags()["histograms"])
    assert events.Graph().node
    hits, false, _, missed, *_ = make_ndarray(events.Tensors("pr/test/1")[0].tensor_proto)  # at 127 thresholds
    (_, wrong), (lost, right) = np.loadtxt(tmp_path / "with/confusion_matrix.csv", delimiter=",", skiprows=1)[:, 1:]
    assert (hits[63], false[63], missed[63]) == (right, wrong, lost)  # the threshold in the middle is 0.5
    (card,) = events.Tensors("data/text_summary")
    assert "| train | 900 | 408 | 492 |" in card.tensor_proto.string_val[0].decode()


@pytest.mark.parametrize(
    ("args", "files"),
    [
        (["data=line", "model=linear"], {"curve.png", "data.png", "path.png", "regression_test.png"}),
        pytest.param(
            ["data=dates"],
            {"data.png", "regression_test.png", "surface.png", "plane.png", "neurons.png"},
            marks=pytest.mark.slow,
        ),
        (["data=mnist_sample", "model=linear"], {"filters.png", "wrong_test.png", "curves_test.png"}),
        pytest.param(["experiment=lectures/diabetes"], {"curves_train.png", "data.png"}, marks=pytest.mark.slow),
        (["data=diabetes"], {"curves_test.png", "data.png"}),
    ],
    ids=lambda value: " ".join(sorted(value)),
)
def test_each_kind_of_data_has_its_own_pictures_and_they_can_be_drawn_afterwards(
    finished, tmp_path, args, files, caplog
):
    finished(*args, "epochs=2", "pictures=final")
    assert "skipped" not in caplog.text
    found = {file.name: file.stat().st_size for file in (tmp_path / "run").glob("*.png")}
    found.pop("confusion_matrix.png", None)
    assert found.keys() == files
    assert min(found.values()) > 2_000
    afterwards = files - {"path.png"}  # the training path is not saved
    for name in afterwards:
        (tmp_path / "run" / name).rename(tmp_path / name)
    drawn = {file.name for file in draw(tmp_path / "run")}
    assert drawn - {"confusion_matrix_val.png", "confusion_matrix_train.png"} == afterwards
    assert all((tmp_path / name).read_bytes() == (tmp_path / "run" / name).read_bytes() for name in afterwards)
    assert draw(tmp_path / "run") == []


@pytest.mark.slow
def test_two_named_columns_of_a_table_have_a_surface(finished):
    drawn = {file.name for file in draw(finished("data=diabetes", "epochs=1", "test=false"), ("glucose", "bmi"))}
    assert {"surface_glucose_bmi.png", "neurons_glucose_bmi.png", "curves_val.png"} <= drawn


def test_an_error_while_drawing_does_not_end_the_run(run, tmp_path, monkeypatch, caplog):
    def broken(*_, **__):
        raise ValueError("no colours")

    monkeypatch.setattr("kindling.plots.surface.draw_surface", broken)
    with caplog.at_level("INFO", "kindling"):
        assert run("data=ring", "epochs=1", "pictures=final")["status"] == "finished"
    assert "picture surface of epoch 1: skipped, ValueError: no colours" in caplog.text
    assert (tmp_path / "run/neurons.png").exists()  # the other figures are drawn


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_the_derivative_of_an_activation_equals_finite_differences(name):
    x, y, derivative = activations.values(name)
    numeric = torch.gradient(y, spacing=(x,))[0]
    smooth = (numeric - derivative).abs() < 2e-2
    assert smooth.double().mean() > 0.97  # except at a kink


@pytest.mark.slow
def test_the_command_draws_a_run_and_the_activations(finished, tmp_path):
    finished("data=ring", "epochs=1")

    def call(*args):
        command = [sys.executable, "-m", "kindling", "pictures", *args]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    drawn = call("run=run")
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert "run/surface.png" in drawn.stdout
    assert call("activations").stdout.strip() == "activations.png"
    assert (tmp_path / "activations.png").stat().st_size > 20_000
    rejected = call("folder=run")
    assert (rejected.returncode, "Invalid arguments: got folder=run, expected" in rejected.stderr) == (2, True)
    assert "is not a run folder" in call("run=nowhere").stderr


def test_figures_of_a_model_do_not_change_it():
    data, model = built("data=ring")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert [name for name, _ in model_figures(model, data, "now")] == ["surface", "neurons"]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training


@pytest.mark.parametrize("precision", slow_after(1, ["64-true", "bf16-true"]))
@pytest.mark.parametrize(("args", "name"), [("data=ring", "neurons"), ("data=line model=linear", "path")])
def test_pictures_can_be_drawn_of_a_model_in_another_precision(run, tmp_path, capsys, args, name, precision):
    run(*args.split(), "epochs=2", f"trainer.precision={precision}", "pictures=final", folder="run")
    assert "skipped" not in "".join(capsys.readouterr())
    assert (tmp_path / f"run/{name}.png").stat().st_size > 5000


def test_the_graph_of_a_model_whose_forward_uses_an_attribute_is_drawn(tmp_path):
    class Halves(Model):
        def __init__(self, parts, **model):
            super().__init__(**model)
            self.parts, self.layers = parts, torch.nn.ModuleList(torch.nn.Linear(n, 1) for n in parts)

        def forward(self, x):
            return sum(layer(part) for layer, part in zip(self.layers, x.split(self.parts, 1), strict=True))

    model = Halves([2, 3], task="binary")
    with SummaryWriter(str(tmp_path)) as writer:
        write_graph(writer, model, torch.randn(2, 5))
    names = {node.name for node in EventAccumulator(str(tmp_path)).Reload().Graph().node}
    assert any(name.startswith("Halves/") for name in names)


def test_the_graph_of_an_equal_model_is_not_traced_again(tmp_path, monkeypatch):
    def graph_of(*overrides):
        _, model = built("data=blobs", "model=deep", *overrides)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        with SummaryWriter(str(folder)) as writer:
            write_graph(writer, model, torch.randn(1, 2))
        return EventAccumulator(str(folder)).Reload().Graph()

    first, wide = graph_of(), graph_of("width=7")
    monkeypatch.setattr(torch.jit, "trace", lambda *_, **__: pytest.fail("was traced again"))
    assert graph_of() == first != wide == graph_of("width=7")
    with pytest.raises(pytest.fail.Exception):
        graph_of("activation=tanh")


def test_a_map_that_is_constant_up_to_rounding_is_flat():
    flat = torch.full((1, 4, 4), 36.6)
    flat[0, 0, 0] = torch.nextafter(flat[0, 0, 0], torch.tensor(99.0))
    assert surface.mosaic(flat, 1, gap=1).max() == 0


@pytest.mark.slow
def test_the_decision_surface_has_a_margin_around_a_constant_column(run, tmp_path):
    (tmp_path / "t.csv").write_text("a,temp,y\n" + "".join(f"{i % 9},36.6,{i % 2}\n" for i in range(40)))
    args = ["data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=y", "model=linear", "epochs=1"]
    args += ["data.kinds={temp: number}"]
    assert run(*args, "pictures=final")["status"] == "finished"  # warnings of Matplotlib are errors in tests
    assert (tmp_path / "run" / "surface.png").exists()
