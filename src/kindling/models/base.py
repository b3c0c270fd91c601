"""The base class of models: `forward` returns logits; loss, metrics, optimizer and training step are provided."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics.utilities.distributed import gather_all_tensors

from kindling.data.base import Data
from kindling.data.loader import TensorLoader
from kindling.data.trainer_parts import datamodule_of
from kindling.models.checks import reject_batch_of_one, reject_single_losses, reject_true_precision
from kindling.models.multi_step import backward_of, why_single_batches, zero_grad_of
from kindling.models.noise import seed_noise
from kindling.models.parameter_groups import optimizer_of
from kindling.tasks.epoch_metrics import Metric, check_custom, scores
from kindling.tasks.losses import smoothed, weighted
from kindling.tasks.quantiles import task_of
from kindling.tasks.tasks import Loss

log = logging.getLogger("kindling")


class Model(pl.LightningModule, ABC):
    """A network for one task.

    Args:
        task: "binary", "multiclass", "multilabel" or "regression".
        class_names: stored in the checkpoint for predictions.
        optimizer: creates the optimizer from the parameters, e.g. `functools.partial(torch.optim.Adam, lr=0.01)`.
        loss: "auto" (the task's default), a name in tasks/losses.py, or a function of logits and targets.
        label_smoothing: at least 0 and less than 1; it affects the training step alone, not the recorded losses.
        target_std: standard deviations that regression targets were divided by; metrics are in the original unit.
        metrics: name -> a torchmetrics metric, or a function of logits and targets; in addition to the task's metrics.
        lr_factors: see `lr_factor_of_each`.
        quantiles: of a regression with loss="quantile", see `Quantiles`.

    Attributes:
        outputs: stage -> logits and targets of all samples in the last epoch of the stage.

    Raises:
        UserError: the task has no such loss, the loss does not support label smoothing, or a metric is invalid.
    """

    def __init__(
        self,
        task: str,
        class_names: list[str] | tuple[str, ...] = (),
        optimizer: Callable[[Iterable[Any]], Optimizer] | None = None,
        loss: str | Loss = "auto",
        label_smoothing: float = 0.0,
        target_std: list[float] | None = None,
        metrics: Mapping[str, Metric] | None = None,
        lr_factors: Mapping[str, float] | None = None,
        quantiles: list[float] | None = None,
    ):
        super().__init__()
        # Includes the subclass's arguments; only plain data, so that checkpoints load with weights_only=True.
        callables = ["optimizer", "metrics", *(["loss"] if callable(loss) else [])]
        self.save_hyperparameters(ignore=callables, logger=False)
        self.task, self.optimizer, self.target_std = task_of(task, quantiles), optimizer, target_std
        self.loss: Loss = self.task.loss(loss)
        self.training_loss: Loss = smoothed(self.loss, label_smoothing)
        self.custom_metrics, self.lr_factors = dict(metrics or {}), dict(lr_factors or {})
        check_custom(self.custom_metrics, self.task)
        self.outputs: dict[str, tuple[Tensor, Tensor]] = {}
        self.single_step_reason: str | None = None  # why a training step takes one mini-batch; set by `setup`
        self._backward: Callable[[Tensor], None] = self.manual_backward
        self._is_distributed = False
        self._batches: dict[str, list[tuple[Tensor, ...]]] = {"train": [], "val": [], "test": []}  # logits, y, weights
        self._num_scored = 0  # number of training batches whose metrics have been computed

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, num_outputs) for inputs (N, *input_shape)."""

    def configure_optimizers(self) -> Optimizer:
        return optimizer_of(self, self.optimizer, self.lr_factors)

    def setup(self, stage: str) -> None:
        if stage == "fit":
            reject_batch_of_one(self)
            reject_true_precision(self.trainer)
            reject_single_losses(self, self.training_loss)
            seed_noise(self, torch.initial_seed())
            self.single_step_reason = why_single_batches(self, Model)
            self.automatic_optimization = self.single_step_reason is not None
            data = datamodule_of(self.trainer)
            if isinstance(data, Data):
                data.supports_multi_step = not self.automatic_optimization
            if self.single_step_reason not in (None, "steps_per_execution=1"):
                log.info(f"one mini-batch per training step: {self.single_step_reason}")
            self._backward = backward_of(self)
            self._is_distributed = self.trainer.world_size > 1

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | dict[str, Tensor]:
        if self.automatic_optimization:
            return self._loss(batch, "train", batch_idx)
        optimizer, losses = cast(LightningOptimizer, self.optimizers()), []
        loader: Any = self.trainer.train_dataloader
        zero_grad, first = zero_grad_of(optimizer.optimizer), batch_idx * loader.num_steps
        for i, mini_batch in enumerate(batch, first):
            zero_grad()
            loss = self._loss(mini_batch, "train", i)
            self._backward(loss)
            optimizer.step()
            losses.append(loss.detach())
        return {"losses": torch.stack(losses)}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._loss(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._loss(batch, "test")

    def on_train_epoch_start(self) -> None:
        metrics = self.trainer.callback_metrics
        for name in [name for name in metrics if name.startswith("val/")]:
            del metrics[name]  # of an earlier epoch; this one may not be validated

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.trainer.is_last_batch or self.trainer.should_stop:  # before validation and callbacks need them
            self._score("train")
            self._num_scored = len(self._batches["train"])

    def on_train_epoch_end(self) -> None:
        if len(self._batches["train"]) != self._num_scored:  # the epoch has continued, or was ended elsewhere
            self._score("train")
        self._batches["train"], self._num_scored = [], 0

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        if batch_idx + 1 == self.trainer.num_val_batches[dataloader_idx]:
            self.on_validation_epoch_end()

    def on_validation_epoch_end(self) -> None:  # if the number of batches was unknown
        self._score("val")
        self._batches["val"] = []

    def on_test_epoch_end(self) -> None:
        self._score("test")
        self._batches["test"] = []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Within an epoch: the outputs so far, so that the metrics of a resumed epoch cover all its samples.
        if self._batches["train"]:
            checkpoint["kept"] = self._gather("train")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        kept = checkpoint.get("kept")
        rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self._batches["train"] = []
        if kept:
            self._batches["train"] = [tuple(part.tensor_split(size)[rank] for part in kept)]

    def _loss(self, batch: Sequence[Tensor], stage: str, batch_idx: int = 0) -> Tensor:
        x, y, *weights = batch
        logits = self(x)
        self._batches[stage].append((logits.detach(), y, *weights))
        compute = weighted(self.training_loss if stage == "train" else self.loss, *weights)
        if stage != "train" or not self._is_distributed or not isinstance(self.trainer.train_dataloader, TensorLoader):
            return compute(logits, y)
        # A process without samples must still take part in the gradient synchronization.
        loss = compute(logits, y) if len(y) else logits.sum()
        return loss * self.trainer.train_dataloader.weight(batch_idx, len(y))

    def _gather(self, stage: str) -> list[Tensor]:
        """Return the logits, targets and weights, if any, of the epoch's samples so far, from all processes."""
        first = tuple(part.to(self.device) for part in self._batches[stage][0])  # after resuming they are on the CPU
        logits, self._batches[stage][0] = first[0], first
        parts = [torch.cat(part, logits.dim() - 2) for part in zip(*self._batches[stage], strict=True)]
        return parts if self.trainer.world_size == 1 else [torch.cat(gather_all_tensors(part)) for part in parts]

    def _score(self, stage: str) -> None:
        """Compute the epoch's metrics over all its samples, and add them to `trainer.callback_metrics`.

        `self.log` would add 0.4 s to the 0.9 s of training in the default run of 100 epochs (2 cores): it takes 0.46 ms
        per call, and there are six values twice per epoch.
        """
        if not self._batches[stage]:  # a subclass overrides the step of this stage
            return
        logits, y, *weights = self._gather(stage)
        self.outputs[stage] = logits, y
        loss = weighted(self.loss, *weights)
        found = scores(self.task, loss, logits, y=y, target_std=self.target_std, custom=self.custom_metrics)
        self.trainer.callback_metrics.update({f"{stage}/{name}": value for name, value in found.items()})
