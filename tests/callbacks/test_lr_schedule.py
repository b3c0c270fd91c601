"""Every schedule equals torch's scheduler in a plain loop, and can be resumed."""

import math
import signal
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from conftest import Sends, assert_weights, fitted, plain_loop, rows_of, slow_after
from torch.optim import lr_scheduler

from kindling import UserError
from kindling.callbacks.lr_schedule import CosLog, Schedule
from kindling.data.synthetic import Blobs
from kindling.models.mlp import Deep
from kindling.training.stopping import LastStep

ARGS = ["data=blobs", "optimizer=sgd", "epochs=4", "batch_size=300"]
STEPS = 4 * 3  # with 900 training samples


def looped(build, every):
    """Return the model of a plain loop with the scheduler, and the learning rate after each epoch."""
    scheduler, rates = [], []

    def optimizer(parameters):
        opt = torch.optim.SGD(parameters, lr=0.1)
        scheduler.append(build(opt))
        return opt

    def after_step(model, opt):
        if every == "step" and scheduler[0].last_epoch < STEPS - 1:
            scheduler[0].step()

    def after_epoch(model, opt):
        rates.append(opt.param_groups[0]["lr"])
        if every == "epoch":
            scheduler[0].step()

    model = plain_loop(*ARGS, optimizer=optimizer, after_step=after_step, after_epoch=after_epoch)
    return model, rates


def coslog4(optimizer):
    """Return the schedule as the paper has it, lr * 0.5 * (1 - cos(2 pi log2(1 + 15 t)))."""
    return lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * step / STEPS)))
    )


@pytest.mark.parametrize("steps_per_execution", slow_after(1, ["auto", 1]))
@pytest.mark.parametrize(
    ("args", "build", "every"),
    [
        (["schedule=cosine"], partial(lr_scheduler.CosineAnnealingLR, T_max=STEPS), "step"),
        (
            ["schedule=onecycle"],
            partial(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=STEPS, cycle_momentum=False),
            "step",
        ),
        (["schedule=coslog4"], coslog4, "step"),
        (
            ["schedule=step", "callbacks.schedule.build.step_size=2"],
            partial(lr_scheduler.StepLR, step_size=2, gamma=0.1),
            "epoch",
        ),
    ],
    ids=["cosine", "onecycle", "coslog4", "step"],
)
def test_a_schedule_equals_torchs_scheduler_in_a_plain_loop(run, tmp_path, args, build, every, steps_per_execution):
    run(*ARGS, *args, f"steps_per_execution={steps_per_execution}")
    model, rates = looped(build, every)
    assert_weights(tmp_path / "run", model)
    assert [float(row["lr"]) for row in rows_of(tmp_path / "run")] == pytest.approx(rates)


def test_plateau_halves_the_learning_rate_if_the_monitored_value_does_not_improve(run, tmp_path):
    run("data=blobs", "optimizer=sgd", "lr=0", "epochs=5", "schedule=plateau", "callbacks.schedule.build.patience=1")
    # With lr=0 the loss never improves, as in this scheduler of a constant loss.
    p = torch.zeros(1, requires_grad=True)
    plain = lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([p], lr=1.0), factor=0.5, patience=1)
    for _ in range(5):
        plain.step(0.3)
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]["Schedule"]
    assert saved["scheduler"]["num_bad_epochs"] == plain.num_bad_epochs
    assert plain.get_last_lr() == [0.25]


def test_plateau_monitors_the_training_loss_without_validation(run):
    assert run("experiment=lectures/diabetes", "schedule=plateau", "epochs=3")["status"] == "finished"


SCHEDULES = {
    "cosine": lambda: Schedule(lr_scheduler.CosineAnnealingLR, total="T_max"),
    "onecycle": lambda: Schedule(partial(lr_scheduler.OneCycleLR, max_lr=0.1), total="total_steps"),
    "coslog4": lambda: Schedule(CosLog, total="total_steps"),
    "plateau": lambda: Schedule(partial(lr_scheduler.ReduceLROnPlateau, patience=0), every="epoch"),
}


@pytest.mark.filterwarnings("ignore:.*Checkpoint directory.*exists and is not empty")
@pytest.mark.parametrize("place", ["train_batch_end", "train_epoch_end"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_stopped_schedule_is_resumed_exactly(tmp_path, name, place):
    whole = fitted(tmp_path / "whole", SCHEDULES[name](), steps_per_execution=5)
    with pytest.raises(SystemExit):
        fitted(tmp_path / "stopped", Sends(signal.SIGTERM, place), SCHEDULES[name](), steps_per_execution=5)
    last = tmp_path / "stopped" / "last.ckpt"
    assert torch.load(last, weights_only=True)["callbacks"]["Schedule"]
    resumed = fitted(tmp_path / "stopped", SCHEDULES[name](), steps_per_execution=5, ckpt_path=last)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


class Rates(pl.Callback):
    """Collects the learning rate of every step."""

    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, *args):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.filterwarnings("ignore:.*Checkpoint directory.*exists and is not empty")
@pytest.mark.parametrize("name", ["cosine", "onecycle", "coslog4"])
def test_a_run_that_is_resumed_with_more_epochs_continues_with_the_rates_of_the_longer_schedule(tmp_path, name, caplog):
    whole, rest = Rates(), Rates()
    fitted(tmp_path / "whole", SCHEDULES[name](), whole, steps_per_execution=1)
    stop = Sends(signal.SIGTERM, "train_epoch_end")
    with pytest.raises(SystemExit):
        fitted(tmp_path / "part", stop, SCHEDULES[name](), LastStep(116), steps_per_execution=1)
    last = tmp_path / "part" / "last.ckpt"
    with caplog.at_level("INFO", "kindling"):
        fitted(tmp_path / "part", SCHEDULES[name](), rest, steps_per_execution=1, ckpt_path=last)
    assert rest.rates == pytest.approx(whole.rates[58:], rel=1e-9, abs=1e-12)
    assert "the schedule now has 174 steps instead of 116, and continues with lr=" in caplog.text


def test_a_model_with_its_own_scheduler_is_rejected(run):
    class Scheduled(Deep):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [lr_scheduler.StepLR(optimizer, 1)]

    data = Blobs(steps_per_execution=1)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", callbacks=[SCHEDULES["cosine"]()], logger=False,
                         enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    with pytest.raises(UserError, match="exactly one optimizer and no scheduler of its own"):
        trainer.fit(Scheduled(**data.model_kwargs()), datamodule=data)


def test_plateau_monitors_the_validation_loss_of_a_users_module(stock, tmp_path):
    stock("Logs", "schedule=plateau", "callbacks.schedule.build.patience=0", "+model.rate=1e-6", "epochs=4")
    assert [float(row["lr"]) for row in rows_of(tmp_path / "run")][-1] < 1e-6


def test_plateau_without_a_logged_value_is_rejected(stock):
    with pytest.raises(UserError, match="schedule=plateau monitors val/loss, which was not logged"):
        stock("Logs", "+model.val=''", "schedule=plateau")
