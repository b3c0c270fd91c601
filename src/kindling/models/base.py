"""The contract of a model: `forward` gives logits. Loss, metrics, optimizer and training step are the same for all."""

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics.utilities.distributed import gather_all_tensors

from kindling import UserError
from kindling.data.base import Data
from kindling.data.loader import TensorLoader
from kindling.models.multi_step import backward_of, why_single_batches, zero_grad_of
from kindling.models.noise import seed_noise
from kindling.models.refusals import refuse_batch_of_one, refuse_true_precision
from kindling.tasks.scoring import Metric, check_own, scores
from kindling.tasks.tasks import TASKS, Loss

log = logging.getLogger("kindling")


class Model(pl.LightningModule, ABC):
    """A network for one task.

    Args:
        task: "binary", "multiclass", "multilabel" or "regression".
        class_names: kept in the checkpoint for whoever predicts with it.
        optimizer: builds the optimizer from the parameters, e.g. `functools.partial(torch.optim.Adam, lr=0.01)`.
        loss: "auto" (the task's own), a name in tasks/losses.py, or a function of logits and targets.
        target_std: standard deviations by which the data has divided a regression's targets; metrics undo it.
        label_smoothing: 0 to 1; it acts on the training step only, recorded losses are without it.
        metrics: name -> a metric of torchmetrics, or a function of logits and targets; next to the task's own ones.

    Attributes:
        outputs: stage -> logits and targets of all samples of its last epoch, for callbacks that look at them.

    Raises:
        UserError: the task has no such loss, the loss no label smoothing, or a metric cannot be used.
    """

    def __init__(
        self,
        task: str,
        class_names: list[str] | tuple = (),
        optimizer: Callable[[Iterable], Optimizer] | None = None,
        loss: str | Loss = "auto",
        label_smoothing: float = 0.0,
        target_std: list[float] | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ):
        super().__init__()
        # Also the subclass's arguments; plain data only, so that checkpoints load with weights_only=True.
        calls = ["optimizer", "metrics", *(["loss"] if callable(loss) else [])]
        self.save_hyperparameters(ignore=calls, logger=False)
        self.task, self.optimizer, self.target_std = TASKS[task], optimizer, target_std
        self.loss = self.training_loss = self.task.loss(loss)
        self.own_metrics = dict(metrics or {})
        check_own(self.own_metrics, self.task)
        if label_smoothing:
            if "smoothing" not in inspect.signature(self.loss).parameters:
                raise UserError(f"label_smoothing={label_smoothing} is for loss=bce and cross_entropy: leave it out.")
            self.training_loss = partial(self.loss, smoothing=label_smoothing)
        self.outputs: dict[str, tuple[Tensor, Tensor]] = {}
        self.single_step_reason: str | None = None  # why a training step takes one mini-batch, from `setup` on
        self._backward = self.manual_backward
        self._shares_batches = False
        self._kept: dict[str, list] = {"train": [], "val": [], "test": []}
        self._num_scored = 0  # training batches whose metrics are computed

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_outputs) of inputs (N, *input_shape)."""

    def configure_optimizers(self) -> Optimizer:
        if self.optimizer is None:
            raise UserError(
                "This model has no optimizer: build it with optimizer=functools.partial(torch.optim.Adam, lr=...)."
            )
        return self.optimizer(self.parameters())

    def setup(self, stage: str) -> None:
        if stage == "fit":
            refuse_batch_of_one(self)
            refuse_true_precision(self.trainer)
            seed_noise(self, torch.initial_seed())
            self.single_step_reason = why_single_batches(self, Model)
            self.automatic_optimization = self.single_step_reason is not None
            if isinstance(self.trainer.datamodule, Data):
                self.trainer.datamodule.supports_multi_step = not self.automatic_optimization
            if self.single_step_reason not in (None, "steps_per_execution=1"):
                log.info(f"one mini-batch a training step: {self.single_step_reason}")
            self._backward = backward_of(self)
            self._shares_batches = self.trainer.world_size > 1

    def training_step(self, batch, batch_idx: int):
        if self.automatic_optimization:
            return self._loss(batch, "train", batch_idx)
        optimizer, losses = self.optimizers(), []
        zero_grad, first = zero_grad_of(optimizer.optimizer), batch_idx * self.trainer.train_dataloader.num_steps
        for i, mini_batch in enumerate(batch, first):
            zero_grad()
            loss = self._loss(mini_batch, "train", i)
            self._backward(loss)
            optimizer.step()
            losses.append(loss.detach())
        return {"losses": torch.stack(losses)}

    def validation_step(self, batch, batch_idx: int) -> None:
        self._loss(batch, "val")

    def test_step(self, batch, batch_idx: int) -> None:
        self._loss(batch, "test")

    def on_train_epoch_start(self) -> None:
        metrics = self.trainer.callback_metrics
        for name in [name for name in metrics if name.startswith("val/")]:
            del metrics[name]  # of an earlier epoch: not every epoch need be validated

    def on_train_batch_end(self, outputs, batch, batch_idx: int) -> None:
        if self.trainer.is_last_batch or self.trainer.should_stop:  # so that validation and callbacks find them
            self._score("train")
            self._num_scored = len(self._kept["train"])

    def on_train_epoch_end(self) -> None:
        if len(self._kept["train"]) != self._num_scored:  # the epoch has gone on after all, or was closed elsewhere
            self._score("train")
        self._kept["train"], self._num_scored = [], 0

    def on_validation_batch_end(self, outputs, batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        if batch_idx + 1 == self.trainer.num_val_batches[dataloader_idx]:
            self.on_validation_epoch_end()

    def on_validation_epoch_end(self) -> None:  # where the number of batches was not known before
        self._score("val")
        self._kept["val"] = []

    def on_test_epoch_end(self) -> None:
        self._score("test")
        self._kept["test"] = []

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        # In mid-epoch: what the epoch's metrics are computed from, so that a resumed epoch's are whole.
        if self._kept["train"]:
            checkpoint["kept"] = self._gathered("train")

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        kept = checkpoint.get("kept")
        rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self._kept["train"] = [tuple(part.tensor_split(size)[rank] for part in kept)] if kept else []

    def _loss(self, batch: tuple[Tensor, Tensor], stage: str, batch_idx: int = 0) -> Tensor:
        x, y = batch
        logits = self(x)
        self._kept[stage].append((logits.detach(), y))
        if stage != "train":
            return self.loss(logits, y)
        if not self._shares_batches or not isinstance(self.trainer.train_dataloader, TensorLoader):
            return self.training_loss(logits, y)
        # A process without rows has to take part in the exchange of gradients all the same.
        loss = self.training_loss(logits, y) if len(y) else logits.sum()
        return loss * self.trainer.train_dataloader.weight(batch_idx, len(y))

    def _gathered(self, stage: str) -> list[Tensor]:
        """Logits and targets of the epoch's rows so far, of all processes."""
        first = self._kept[stage][0]  # of a resumed epoch from a checkpoint, so on the CPU
        self._kept[stage][0] = tuple(part.to(self.device) for part in first)
        parts = [torch.cat(part, first[0].dim() - 2) for part in zip(*self._kept[stage], strict=True)]
        return parts if self.trainer.world_size == 1 else [torch.cat(gather_all_tensors(part)) for part in parts]

    def _score(self, stage: str) -> None:
        """Compute the epoch's metrics over all its samples, and hand them to the callbacks.

        The one place where they are published. `self.log` would add 0.4 s to the 0.9 s for which the default run, 100
        epochs, trains (2 cores): it takes 0.46 ms a call, and there are six values twice an epoch.
        """
        if not self._kept[stage]:  # a subclass has its own step for this stage
            return
        logits, y = self.outputs[stage] = tuple(self._gathered(stage))
        found = scores(self.task, self.loss, logits, y=y, target_std=self.target_std, own=self.own_metrics)
        self.trainer.callback_metrics.update({f"{stage}/{name}": value for name, value in found.items()})
