"""Weight averages equal torch's AveragedModel in a plain loop, and can be resumed."""

import logging
import signal
from functools import partial

import pytest
import torch
from conftest import FLOAT, Sends, fitted, plain_loop, rows_of, weights_of
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kindling.callbacks.weight_averaging import Averaged

ARGS = ["data=blobs", "optimizer=sgd", "epochs=4", "batch_size=90", "batch_norm=true"]


@pytest.mark.parametrize("steps_per_execution", ["auto", 1])
def test_ema_equals_torchs_averaged_model(run, tmp_path, steps_per_execution):
    run(*ARGS, "average=ema", f"steps_per_execution={steps_per_execution}", "monitor=train/accuracy", "mode=max")
    averaged = []

    def after_step(model, opt):
        if not averaged:
            averaged.append(AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True))
        averaged[0].update_parameters(model)

    plain_loop(*ARGS, optimizer=partial(torch.optim.SGD, lr=0.1), after_step=after_step)
    for key, tensor in weights_of(tmp_path / "run").items():
        if tensor.is_floating_point():  # num_batches_tracked is not averaged
            torch.testing.assert_close(tensor, averaged[0].module.state_dict()[key], atol=FLOAT, rtol=0)


def test_swa_averages_the_weights_at_the_ends_of_the_last_epochs(run, tmp_path):
    run(*ARGS, "average=swa", "callbacks.average.start=0.5")
    states = []

    def after_epoch(model, opt):
        states.append({key: tensor.clone() for key, tensor in model.state_dict().items()})

    plain_loop(*ARGS, optimizer=partial(torch.optim.SGD, lr=0.1), after_epoch=after_epoch)
    for key, tensor in weights_of(tmp_path / "run").items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (states[2][key] + states[3][key]) / 2, atol=FLOAT, rtol=0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["epochs=2"], "had no effect: averaging would have started in epoch 3, and training ended after epoch 2"),
        (["max_steps=25"], "had no effect: averaging would have started in epoch 4, and training ended after epoch 3"),
        ([], "averaged one epoch: averaging started in epoch 4, and training ended after epoch 4"),
        (["callbacks.average.start=0.5"], None),
        (["average=ema"], None),
    ],
)
def test_swa_without_averaged_weights_is_reported(run, caplog, args, message):
    caplog.set_level(logging.INFO)
    run(*ARGS, "average=swa", *args)
    assert (f"average=swa {message}" in caplog.text) if message else ("train longer" not in caplog.text)


def test_the_averages_are_validated(run, tmp_path):
    """Compare the last val/loss with that of the weights in last.ckpt, which are the averages."""
    from conftest import built

    run(*ARGS, "average=ema")
    data, model = built(*ARGS)
    model.load_state_dict(weights_of(tmp_path / "run"))
    x, y = data.samples["val"]
    with torch.no_grad():
        loss = model.loss(model.eval()(x), y).item()
    assert loss == pytest.approx(float(rows_of(tmp_path / "run")[-1]["val/loss"]), abs=1e-6)


@pytest.mark.filterwarnings("ignore:.*Checkpoint directory.*exists and is not empty")
@pytest.mark.parametrize("place", ["train_batch_end", "validation_end", "train_epoch_end"])
@pytest.mark.parametrize("decay", [0.9, None])
def test_a_stopped_average_is_resumed_exactly(tmp_path, decay, place):
    whole = fitted(tmp_path / "whole", Averaged(decay), steps_per_execution=5)
    with pytest.raises(SystemExit):
        fitted(tmp_path / "stopped", Sends(signal.SIGTERM, place), Averaged(decay), steps_per_execution=5)
    last = tmp_path / "stopped" / "last.ckpt"
    assert torch.load(last, weights_only=True)["callbacks"]["Averaged"]["others"]
    resumed = fitted(tmp_path / "stopped", Averaged(decay), steps_per_execution=5, ckpt_path=last)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
