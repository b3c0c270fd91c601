"""Simulated viewers follow their description, files are read or rejected, and a hidden layer improves predictions."""

import io
import time

import numpy as np
import pytest
import torch
from conftest import built, compose_config
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from kindling import UserError
from kindling.lectures.simulated import DAYS, PARTS, SLOTS, WEEKS, Playback


def days(log):
    """Reshape (N, weeks, SLOTS) to (N, weeks, DAYS, PARTS)."""
    return log.unflatten(-1, (DAYS, len(PARTS)))


def drawn(**viewers):
    """Return the whole log of simulated viewers (N, WEEKS, DAYS, PARTS)."""
    examples = Playback(**viewers).load()
    return days(torch.cat([examples.x.unflatten(1, (WEEKS - 1, SLOTS)), examples.y[:, None]], 1))


def test_simulating_twenty_thousand_viewers_takes_less_than_two_seconds():
    start = time.process_time()
    examples = Playback().load()
    assert time.process_time() - start < 2
    assert (examples.x.shape, examples.x.dtype) == ((20_000, 896), torch.float32)
    assert (examples.y.shape, len(examples.class_names), len(examples.columns)) == ((20_000, 28), 28, 896)
    assert set(examples.x.unique().tolist()) == {0, 1}


def test_the_seed_determines_the_viewers():
    one, same, other = (Playback(num_examples=50, data_seed=seed).load() for seed in (1, 1, 2))
    assert torch.equal(one.x, same.x)
    assert not torch.equal(one.x, other.x)


@pytest.mark.parametrize(("shift", "moved"), [(0.0, 0), (1.0, 1)])
def test_office_workers_keep_their_part_of_the_day_and_shift_workers_move_to_the_next(shift, moved):
    log = drawn(num_examples=500, shift=shift, slip=0.0, stop=0.0, stray=0.0)
    part = log[..., :3].sum(2)  # (N, WEEKS, 3)
    assert ((part > 0).sum(-1) <= 1).all()  # one part of the day per week
    both = (part[:, :-1].sum(-1) > 0) & (part[:, 1:].sum(-1) > 0)
    step = (part[:, 1:].argmax(-1) - part[:, :-1].argmax(-1)) % 3
    assert step[both].unique().tolist() == [moved]
    nights = log[..., 3].sum((0, 1)) > 0
    assert nights.tolist() == [bool(shift)] * 4 + [not shift] * 3


def test_the_shares_are_those_requested():
    log = drawn(num_examples=4_000, stop=0.3, stray=0.0, slip=0.0, shift=0.0)
    half = log[:, : WEEKS // 2].sum((1, 2, 3)) > 0  # has favourite days
    stopped = log[:, -4:].sum((1, 2, 3)) == 0
    # They stop before one of the last 17 weeks, and with probability 14 / 17 before the last four.
    assert (half & stopped).float().sum() / half.sum() == pytest.approx(0.3 * 14 / 17, abs=0.02)
    stray = drawn(num_examples=500, watch=0.1, stray=0.1)
    assert stray.mean().item() == pytest.approx(0.1, abs=0.002)


def test_a_linear_model_is_better_than_a_copy_of_a_week():
    examples = Playback(num_examples=4_000).load()
    last, two = examples.x[:, -SLOTS:], examples.x[:, -3 * SLOTS : -2 * SLOTS]
    slot = 8  # the morning of the third day
    line = LogisticRegression(C=0.01, max_iter=300).fit(examples.x[:3_000], examples.y[:3_000, slot])
    areas = [
        roc_auc_score(examples.y[3_000:, slot], score)
        for score in (last[3_000:, slot], two[3_000:, slot], line.predict_proba(examples.x[3_000:])[:, 1])
    ]
    assert areas[2] > max(areas[:2]) + 0.05


def test_the_copying_weights_predict_the_last_week():
    _, model = built("experiment=lectures/playback_copy", "data.num_examples=100")
    start = pytest.importorskip("kindling.callbacks.weight_init")
    start.initialise(model, compose_config("experiment=lectures/playback_copy").init)
    x = torch.rand(5, (WEEKS - 1) * SLOTS)
    torch.testing.assert_close(model(x), x[:, -SLOTS:])


def test_the_copying_experiment_does_not_train(run):
    pytest.importorskip("kindling.callbacks.weight_init")
    result = run("experiment=lectures/playback_copy", "data.num_examples=2000")
    data, _ = built("experiment=lectures/playback_copy", "data.num_examples=2000")
    data.setup()
    x, y = data.samples["test"]
    wanted = roc_auc_score(y.flatten(), x[:, -SLOTS:].flatten())
    assert result["metrics"]["test/auroc_micro"] == pytest.approx(wanted, abs=1e-6)
    assert result["mode"] == "max"


def test_a_file_is_read_and_its_last_week_is_converted_to_zeros_and_ones(tmp_path):
    eigens = np.random.default_rng(0).random((40, 924)) * (np.arange(924) % 3 == 0)
    np.savez(tmp_path / "own.npz", train_eigens=eigens, other=np.zeros(3))
    examples = Playback(path=str(tmp_path / "own.npz")).load()
    np.testing.assert_allclose(examples.x, eigens[:, :896], atol=1e-6)
    assert torch.equal(examples.y, torch.from_numpy((eigens[:, 896:] > 0).astype("float32")))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": np.zeros((4, 924))}, "has other: it must be an .npz with an array train_eigens"),
        ({"train_eigens": np.zeros((4, 900))}, r"has train_eigens of shape \(4, 900\): it must be"),
        ({"train_eigens": np.zeros((4, 33, 28))}, r"of shape \(4, 33, 28\)"),
        ({"train_eigens": np.full((4, 924), 2.0)}, "has train_eigens with invalid values: it must be"),
        ({"train_eigens": np.full((4, 924), np.nan)}, "with invalid values"),
        ({"train_eigens": np.full((4, 924), "a")}, "with invalid values"),
        ({"train_eigens": np.full((4, 924), None)}, "cannot be read"),
    ],
)
def test_a_file_with_another_shape_is_rejected(tmp_path, arrays, message):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(UserError, match=message):
        Playback(path=str(tmp_path / "own.npz")).load()


@pytest.mark.parametrize("content", ["nothing", "a text", "a plain array", "half an archive"])
def test_a_file_that_is_no_archive_is_rejected(tmp_path, content):
    file, buffer = tmp_path / "own.npz", io.BytesIO()
    np.savez(buffer, train_eigens=np.zeros((4, 924)))
    if content == "a plain array":
        np.save(file.open("wb"), np.zeros((4, 924)))
    else:
        half = buffer.getvalue()[: len(buffer.getvalue()) // 2]
        file.write_bytes({"nothing": b"", "a text": b"no archive", "half an archive": half}[content])
    with pytest.raises(
        UserError, match=r"^data\.path=.* cannot be read .*: it must be an .npz with an array train_eigens"
    ):
        Playback(path=str(file)).load()


def test_a_missing_file_is_rejected():
    with pytest.raises(UserError, match=r"^data\.path=nowhere\.npz: no such file"):
        Playback(path="nowhere.npz").load()


@pytest.mark.slow
def test_a_hidden_layer_is_better_than_a_linear_model_and_that_is_better_than_a_copy(run):
    areas = {}
    for name in ("copy", "linear", "hidden"):
        result = run(f"experiment=lectures/playback_{name}", folder=name)
        areas[name] = result["metrics"]["test/auroc_micro"]
    assert areas["copy"] + 0.1 < areas["linear"] < areas["hidden"] - 0.02
