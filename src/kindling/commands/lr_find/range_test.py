"""Find a learning rate by increasing it at every step until the loss explodes.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks", 3.3.
"""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.cli.build import build
from kindling.training.device import choose_threads
from kindling.training.quiet import silence
from kindling.training.run_folder import data_and_model

STEPS, LOWEST, HIGHEST = 200, 1e-7, 10.0
DECAY = 0.9  # of the smoothed loss, per step
EXPLODED = 4.0  # times the lowest smoothed loss
FRACTION = 10  # the rate with the lowest loss is too large, because the loss starts to increase there
# Callbacks of the config that record, stop or average; all others, including the user's, are used as in training.
RUN_CALLBACKS = (
    *("stop_diverged", "last_step", "early_stopping", "average", "overfit", "records", "progress", "confusion"),
    *("schedule", "pictures", "doctor", "checkpoints"),
)


class RangeTest(pl.Callback):
    """Sets the learning rate before every step, and appends (rate, loss, smoothed loss) to `steps` after it.

    Raises:
        UserError: the model has several optimizers, or a training step that returns no loss.
    """

    def __init__(self) -> None:
        self.steps: list[tuple[float, float, float]] = []
        self.average = 0.0
        self.rate = LOWEST

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if len(trainer.optimizers) != 1:
            raise UserError(f"lr_find requires exactly one optimizer, but this model has {len(trainer.optimizers)}.")
        self.rate = LOWEST * (HIGHEST / LOWEST) ** (len(self.steps) / (STEPS - 1))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.rate * group.get("lr_factor", 1.0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        output = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(output, torch.Tensor):
            raise UserError(f"training_step of {type(pl_module).__name__} returns no loss, but lr_find needs one.")
        loss = output.item()
        self.average = DECAY * self.average + (1 - DECAY) * loss
        smoothed = self.average / (1 - DECAY ** (len(self.steps) + 1))
        self.steps.append((self.rate, loss, smoothed))
        lowest = min(step[2] for step in self.steps)
        if not math.isfinite(loss) or (len(self.steps) > 10 and smoothed > EXPLODED * abs(lowest)):
            trainer.should_stop = True


def find(cfg: DictConfig) -> list[tuple[float, float, float]]:
    """Run the range test on a config, and return learning rate, loss and smoothed loss of every step."""
    silence(cfg.verbose)
    OmegaConf.set_struct(cfg, False)
    cfg.steps_per_execution = 1
    data, model = data_and_model(cfg)
    nodes = [node for name, node in cfg.callbacks.items() if node and name not in RUN_CALLBACKS]
    test = RangeTest()
    callbacks = [*(callback for node in nodes if (callback := build(node))), test]
    cfg.trainer.update(max_epochs=-1, max_steps=STEPS, limit_val_batches=0, enable_checkpointing=False)
    trainer = build(cfg.trainer, model=model, data=data, callbacks=callbacks, logger=False)
    threads = choose_threads(trainer, model, data)
    try:
        trainer.fit(model, datamodule=data)
    finally:
        torch.set_num_threads(threads)
    return test.steps


def suggestion(steps: list[tuple[float, float, float]]) -> float | None:
    """Return a tenth of the rate with the lowest smoothed loss, to two digits; None if the loss did not decrease."""
    finite = [step for step in steps if math.isfinite(step[2])]
    if not finite:
        return None
    rate, _, lowest = min(finite, key=lambda step: step[2])
    return float(f"{rate / FRACTION:.2g}") if lowest < steps[0][1] - 0.02 * abs(steps[0][1]) else None
