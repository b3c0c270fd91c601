"""The data sets of the lectures follow their formulas, and their experiments equal plain loops."""

import pytest
import torch
from conftest import built, made, notes, rows_of, slow_after, weights_of

from kindling.cli.overrides import command
from kindling.data.loader import TensorLoader
from kindling.data.preprocessing.transforms import apply_transform
from kindling.training.result import loss_note


def test_the_lecture_table_has_759_rows_and_the_share_of_the_lecture():
    data = made("data=diabetes_lecture")
    x, y = data.samples["train"]
    assert (tuple(x.shape), round(y.mean().item(), 4)) == ((759, 8), 0.6535)
    assert (x.abs().max() <= 1, len(data.samples["val"][1]), len(data.samples["test"][1])) == (True, 0, 0)
    # The first row of the lecture's file.
    first = [-0.294118, 0.487437, 0.180328, -0.292929, 0.0, 0.00149028, -0.53117, -0.0333333]
    nearest = (x - torch.tensor(first)).abs().sum(1).min()
    assert nearest < 1e-4


def test_samples_follow_their_formula():
    x, y = made("data=line", "scale=none", "data.scale_target=none").samples["test"]
    assert ((y - 0.9 * x - 0.2).abs().max().item(), len(x)) == (pytest.approx(0.05, abs=1e-3), 1000)
    x, y = made("data=polynomial", "features=none", "scale=none", "data.scale_target=none").samples["train"]
    torch.testing.assert_close(y, x + 2 * x**2 + 3 * x**3 + 4 * x**4)
    x, y = made("data=linear9", "scale=none", "data.scale_target=none").samples["train"]
    torch.testing.assert_close(y, x @ torch.arange(9.0)[:, None] + 9)


def test_dates_follow_their_formula_with_relative_noise():
    x, y = made("data=dates", "scale=none", "data.scale_target=none", "data.noise=0.15").samples["test"]
    factor = y / (0.8 * x[:, :1] + 0.003 * x[:, 1:] + 2)
    assert (factor.mean().item(), factor.std().item()) == (pytest.approx(1, abs=0.02), pytest.approx(0.15, abs=0.01))
    assert (x.amin(0).tolist()[0], x.amax(0).tolist()[0], (x % 1 == 0).all()) == (0.0, 25.0, True)


def test_regression_targets_are_scaled_and_metrics_are_in_the_original_unit(run, tmp_path):
    result = run("data=dates", "model=linear", "epochs=2")
    data = made("data=dates")
    y = data.samples["train"][1]
    assert (y.mean().item(), y.std(correction=0).item()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    saved = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    weights, state = saved["state_dict"], saved["Dates"]
    raw_x, raw_y = made("data=dates", "scale=none", "data.scale_target=none").samples["test"]
    z = apply_transform(raw_x, state) @ weights["net.0.weight"].T + weights["net.0.bias"]
    preds = z * torch.tensor(state["target_std"]) + torch.tensor(state["target_shift"])
    assert result["metrics"]["test/mse"] == pytest.approx((preds - raw_y).square().mean().item(), rel=1e-4)
    assert result["metrics"]["test/mae"] == pytest.approx((preds - raw_y).abs().mean().item(), rel=1e-4)


def test_the_slip_of_the_sums_is_only_in_the_test_targets():
    slip, mended = made("data=sum4"), made("data=sum4", "data.slip=false")
    (x, y), (x_test, y_test) = (slip.examples.x, slip.examples.y), slip.examples.test
    torch.testing.assert_close(y[:, 0], x[:, 1] + 2 * x[:, 2] + 3 * x[:, 3])
    torch.testing.assert_close(y_test[:, 0], x_test[:, 1] + 2 * x_test[:, 2] ** 2 + 3 * x_test[:, 3] ** 3)
    torch.testing.assert_close(mended.examples.test[1][:, 0], x_test @ torch.arange(4.0))


def test_credit_is_linearly_separable_in_any_unit():
    plain, other = made("data=credit").examples, made("data=credit", "data.unit=100").examples
    assert torch.equal(plain.y[:, 0] == 1, 2 * plain.x[:, 0] - plain.x[:, 1] > 30_000)
    assert torch.equal(plain.y, other.y)
    torch.testing.assert_close(plain.x, other.x * 100)


@pytest.mark.parametrize("seed", slow_after(2, range(5)))
def test_the_run_of_the_lecture_equals_a_plain_loop_in_every_epoch(run, tmp_path, seed):
    run("experiment=lectures/diabetes", f"seed={seed}")
    losses = [float(row["train/loss"]) for row in rows_of(tmp_path / "run")]

    data, model = built("experiment=lectures/diabetes", f"seed={seed}")
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x, y = data.samples["train"]
    layers = torch.nn.Sequential(
        torch.nn.Linear(8, 6), torch.nn.Sigmoid(), torch.nn.Linear(6, 4), torch.nn.Sigmoid(), torch.nn.Linear(4, 1)
    )
    layers.load_state_dict(dict(zip(layers.state_dict(), start.values(), strict=True)))
    optimizer, plain = torch.optim.SGD(layers.parameters(), lr=0.1), []
    for _ in range(100):
        loss = torch.nn.functional.binary_cross_entropy(layers(x).sigmoid(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        plain.append(loss.item())

    assert losses == pytest.approx(plain, abs=1e-5)
    assert 0.6440 < losses[-1] < 0.6475
    assert all((tensor != start[name]).any() for name, tensor in weights_of(tmp_path / "run").items())


def test_loss_times_the_variance_of_the_targets_is_mse_and_this_is_reported(run, caplog):
    with caplog.at_level("INFO", "kindling"):
        metrics = run("data=dates", "model=linear", "epochs=1")["metrics"]
    std = (metrics["test/mse"] / metrics["test/loss"]) ** 0.5
    note = loss_note(metrics, [std])
    assert note.startswith("loss is the MSE of the scaled target")
    assert note in caplog.text


def test_a_note_names_an_experiments_value_for_another_choice_of_the_group():
    (line,) = notes("experiment=lectures/diabetes", "optimizer=adam")
    assert line == "note: lr=0.1 comes from experiment=lectures/diabetes; optimizer=adam alone would set lr=0.003"


def test_the_command_of_a_job_of_a_sweeping_experiment_trains_only_that_job():
    experiment = "experiment=lectures/ensemble"
    assert command([experiment, "seed=3", "test=true"]) == f"python train.py {experiment} seed=3 hydra.mode=RUN"
    assert command(["experiment=lectures/diabetes"]) == "python train.py experiment=lectures/diabetes"


def test_without_validation_samples_best_is_last_and_there_is_no_test_score(run, tmp_path):
    result = run("experiment=lectures/diabetes", "epochs=3")
    assert (result["best_epoch"], result["score"]) == (3, result["metrics"]["train/loss"])
    assert {name.split("/")[0] for name in result["metrics"]} == {"train"}
    weights = [
        torch.load(tmp_path / f"run/checkpoints/{n}.ckpt", weights_only=True)["state_dict"] for n in ("best", "last")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_early_stopping_stops_and_is_rejected_without_validation_samples(run):
    result = run("data=diabetes", "patience=3", "lr=0.05", "epochs=60", folder="a")
    assert result["epochs"] == result["best_epoch"] + 3
    with pytest.raises(ValueError, match="patience=3 needs val/loss, but this data has no validation samples"):
        run("experiment=lectures/diabetes", "patience=3", folder="b")


@pytest.mark.slow
def test_one_pass_of_the_perceptron_follows_the_rule_of_the_notes(run, tmp_path):
    """Update w += eta y x and b += 1e5 eta y at each error, on plain amounts with eta = 1e-5."""
    pytest.importorskip("kindling.callbacks.weight_init")  # the weights start at zero
    run("experiment=lectures/perceptron_pass")
    data = made("experiment=lectures/perceptron_pass", "data.unit=1.0")
    data.trainer = None
    loader = TensorLoader(*data.samples["train"], batch_size=1, seed=0)
    w, b, eta = torch.zeros(2, dtype=torch.float64), 0.0, 1e-5
    for x, y in loader:
        s = 2 * y.item() - 1
        if s * (x[0].double() @ w + b) <= 0:
            w, b = w + eta * s * x[0].double(), b + 1e5 * eta * s
    found = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    torch.testing.assert_close(found["net.0.weight"][0].double() / 1e5**0.5, w, rtol=1e-4, atol=1e-6)
    assert found["net.0.bias"].item() == pytest.approx(b)
