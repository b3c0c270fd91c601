"""Steps over mini-batches, each with a larger learning rate, until the loss explodes.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks", 3.3.
"""

import math

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.cli.build import build
from kindling.training.load import data_and_model
from kindling.training.quiet import silence
from kindling.training.trainer import choose_threads

STEPS, LOWEST, HIGHEST = 200, 1e-7, 10.0
DECAY = 0.9  # of the smoothed loss, per step
EXPLODED = 4.0  # smoothed loss over the least one
FRACTION = 10  # the rate with the least loss is too large to train with: it is where the loss begins to rise
# Callbacks of the config that record, stop or average; all others take part as in training, a user's too.
OF_A_RUN = (
    *("stop_diverged", "last_step", "early_stopping", "average", "overfit", "records", "progress", "confusion"),
    *("schedule", "pictures", "doctor", "checkpoints"),
)


class Range(pl.Callback):
    """Sets the learning rate before every step, and keeps (rate, loss, smoothed loss) after it in `seen`.

    Raises:
        UserError: the model has several optimizers, or a training step that returns no loss.
    """

    def __init__(self):
        self.seen: list[tuple[float, float, float]] = []
        self.kept = 0.0
        self.rate = LOWEST

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx: int) -> None:
        if len(trainer.optimizers) != 1:
            raise UserError(f"lr_find wants a model with one optimizer, this one has {len(trainer.optimizers)}.")
        self.rate = LOWEST * (HIGHEST / LOWEST) ** (len(self.seen) / (STEPS - 1))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.rate

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs, batch, batch_idx: int
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, torch.Tensor):
            raise UserError(
                f"training_step of {type(pl_module).__name__} returns no loss, without which no rate is found."
            )
        loss = loss.item()
        self.kept = DECAY * self.kept + (1 - DECAY) * loss
        smoothed = self.kept / (1 - DECAY ** (len(self.seen) + 1))
        self.seen.append((self.rate, loss, smoothed))
        least = min(step[2] for step in self.seen)
        if not math.isfinite(loss) or (len(self.seen) > 10 and smoothed > EXPLODED * abs(least)):
            trainer.should_stop = True


def find(cfg: DictConfig) -> list[tuple[float, float, float]]:
    """What a run of this config would see: rate, loss and smoothed loss of every step."""
    silence(cfg.verbose)
    OmegaConf.set_struct(cfg, False)
    cfg.steps_per_execution = 1
    data, model = data_and_model(cfg)
    nodes = [node for name, node in cfg.callbacks.items() if node and name not in OF_A_RUN]
    steps = Range()
    callbacks = [*(callback for node in nodes if (callback := build(node))), steps]
    cfg.trainer.update(max_epochs=-1, max_steps=STEPS, limit_val_batches=0, enable_checkpointing=False)
    trainer = build(cfg.trainer, model=model, data=data, callbacks=callbacks, logger=False)
    threads = choose_threads(trainer, model, data)
    try:
        trainer.fit(model, datamodule=data)
    finally:
        torch.set_num_threads(threads)
    return steps.seen


def suggestion(seen: list[tuple[float, float, float]]) -> float | None:
    """A tenth of the rate at which the smoothed loss was least, to two digits; None where it did not fall."""
    finite = [step for step in seen if math.isfinite(step[2])]
    if not finite:
        return None
    rate, _, least = min(finite, key=lambda step: step[2])
    return float(f"{rate / FRACTION:.2g}") if least < seen[0][1] - 0.02 * abs(seen[0][1]) else None
