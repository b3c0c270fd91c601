"""Weight averaging, `average=ema` or `swa`: the averages are validated, tested and saved instead of the weights."""

import logging
import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn
from torch.utils.hooks import RemovableHandle

from kindling import UserError

log = logging.getLogger("kindling")


class Averaged(pl.Callback):
    """Averages weights and batch norm statistics, while the optimizer continues with its own weights.

    The averages are swapped in before validation and out before the next training step, so that the `state_dict` of
    checkpoints at the end of an epoch contains the averages.

    Args:
        decay: of an exponential average over optimizer steps (Polyak and Juditsky 1992); None for an equal average
            of the weights at the ends of epochs (stochastic weight averaging, Izmailov et al. 2018).
        start: fraction of the epochs before averaging starts.
    """

    supports_multi_step = True

    def __init__(self, decay: float | None = None, start: float = 0.0):
        self.decay, self.start = decay, start
        self.average = get_swa_multi_avg_fn() if decay is None else get_ema_multi_avg_fn(decay)
        self.others: list[torch.Tensor] = []  # the averages or, while they are swapped in, the optimizer's weights
        self.current: list[torch.Tensor] = []  # the module's own tensors
        self.first = 0.0  # number of epochs before averaging starts
        self.count, self.shown = 0, False
        self.hook: RemovableHandle | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if len(trainer.optimizers) != 1:
            found = f"this model has {len(trainer.optimizers)}"
            raise UserError(f"average=... requires exactly one optimizer, but {found}: remove average.")
        tensors = [*pl_module.parameters(), *pl_module.buffers()]
        self.current = [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
        self.others = [tensor.to(pl_module.device) for tensor in self.others] or [t.clone() for t in self.current]
        self.first = self.start * (trainer.max_epochs or 0)
        if self.decay is not None:
            self.hook = trainer.optimizers[0].register_step_post_hook(lambda *_: self._update(trainer))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.shown:
            self._swap()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._show(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._show(trainer)  # on_validation_start is not called without validation samples

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.decay is None and self.count < 2:
            what, start = ("averaged one epoch", "started") if self.count else ("had no effect", "would have started")
            log.info(
                f"average=swa {what}: averaging {start} in epoch {math.ceil(self.first) + 1}, and training ended after "
                f"epoch {trainer.current_epoch}; train longer, or lower callbacks.average.start"
            )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and self.hook:
            self.hook.remove()

    def state_dict(self) -> dict[str, Any]:
        return {"others": self.others, "count": self.count, "shown": self.shown}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.others, self.count, self.shown = state_dict["others"], state_dict["count"], state_dict["shown"]

    def _show(self, trainer: pl.Trainer) -> None:
        if self.shown or not self.others:
            return
        if self.decay is None and trainer.is_last_batch:
            self._update(trainer)
        if self.count:
            self._swap()

    def _update(self, trainer: pl.Trainer) -> None:
        if trainer.current_epoch < self.first:
            return
        with torch.no_grad():
            if self.count == 0:
                for average, tensor in zip(self.others, self.current, strict=True):
                    average.copy_(tensor)
            else:
                self.average(self.others, self.current, self.count)
        self.count += 1

    def _swap(self) -> None:
        with torch.no_grad():
            for tensor, other in zip(self.current, self.others, strict=True):
                kept = tensor.clone()
                tensor.copy_(other)
                other.copy_(kept)
        self.shown = not self.shown
