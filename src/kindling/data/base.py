"""The base class of data sets: `load` returns the samples; splitting, scaling and loaders are provided."""

import logging
from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from kindling import UserError
from kindling.data.examples import Examples, check_examples
from kindling.data.loader import Pixels, TensorLoader, steps_per_second
from kindling.data.preprocessing.encoding import check_encoding, compact, encoding_of, input_names
from kindling.data.preprocessing.features import feature_names
from kindling.data.preprocessing.lazy_encoding import inputs
from kindling.data.preprocessing.transforms import column_transform, scale_targets, target_transform
from kindling.data.split import Split, log_absent_classes
from kindling.data.trainer_parts import overfits_batches
from kindling.data.weights import sample_weights

log = logging.getLogger("kindling")


class Data(pl.LightningDataModule, ABC):
    """Loads samples once, splits and scales them, and provides loaders over tensors in memory.

    Args:
        batch_size: number of training samples per step, or "full" for all of them.
        features: "none", "radius", "product" or "polynomial", which replace the columns of a table.
        degree: of the polynomial features.
        scale: "standard" (mean 0, standard deviation 1), "minmax" (0 to 1), "robust" (see `robust`) or "none".
        scale_target: for a regression, "standard" (metrics stay in the target's own unit) or "none".
        val_share: fraction of the samples used for validation.
        test_share: fraction of the samples used for testing; ignored if the data set has its own test samples.
        folds: number of parts for a stratified cross-validation of the samples that are not for testing.
        fold: the part, counted from 0, that is used for validation instead of val_share.
        split_seed: seed of the split; separate from `seed`, so that runs with different seeds use the same split.
        stratify: "auto" or False; see Split.
        missing_indicator, max_categories: see `fit_encoding`; "auto" or False, and an integer.
        balance: weight each class in the losses of training and validation inversely to its frequency.
        seed: determines the order of the training samples, together with the epoch.
        steps_per_execution: mini-batches per call of training_step: "auto" or a number; see conf/config.yaml.
        passes, drop_last: see TensorLoader.
        quantiles: that a regression predicts, passed to the model; None: the mean.
    """

    def __init__(
        self,
        batch_size: int | str = 32,
        features: str = "none",
        degree: int = 2,
        scale: str = "standard",
        scale_target: str = "standard",
        val_share: float = 0.1,
        test_share: float = 0.1,
        folds: int | None = None,
        fold: int = 0,
        split_seed: int = 0,
        stratify: str | bool = False,
        missing_indicator: str | bool = False,
        max_categories: int = 100,
        balance: bool = False,
        seed: int = 0,
        steps_per_execution: int | str = "auto",
        passes: int = 1,
        quantiles: list[float] | None = None,
        drop_last: bool = False,
    ):
        super().__init__()
        self.split = Split(val_share, test_share, folds, fold=fold, seed=split_seed, stratify=stratify)
        check_encoding(missing_indicator, max_categories)
        if not isinstance(passes, int) or passes < 1:
            raise UserError(f"data.passes={passes} is invalid: it must be a positive integer.")
        self.batch_size, self.steps_per_execution, self.passes = batch_size, steps_per_execution, passes
        self.features, self.degree, self.scale, self.scale_target = features, degree, scale, scale_target
        self.missing_indicator, self.max_categories = missing_indicator, max_categories
        self.balance, self.seed, self.drop_last, self.quantiles = balance, seed, drop_last, quantiles
        self.samples: dict[str, tuple[Tensor, Tensor]] = {}  # stage -> x, y; empty until setup
        self.weights: dict[str, Tensor] = {}  # stage -> weights of its samples (N,), if they differ
        self.transform: dict[str, Any] = {}  # of raw inputs and targets; empty until setup
        self.supports_multi_step = False  # set by a model whose training step takes several mini-batches
        self.examples: Examples  # set by `setup`

    @abstractmethod
    def load(self) -> Examples:
        """Read or generate the samples; called once."""

    def setup(self, stage: str | None = None) -> None:
        if self.samples:
            return
        self.examples = examples = self.load()
        check_examples(examples, type(self).__name__)
        self.indices = self.split.indices(examples)
        samples = {stage: (examples.x[i], examples.y[i]) for stage, i in self.indices.items()}
        if examples.test:
            samples["test"] = examples.test
        num_train = len(samples["train"][1])
        if num_train < 2:
            found = f"Of {len(examples.y)} samples, {num_train} are left to train on, but two are needed"
            raise UserError(f"{found}: provide more, or lower data.val_share or data.test_share.")
        log_absent_classes(samples, examples)
        encoding = encoding_of(examples, x := samples["train"][0], bool(self.missing_indicator), self.max_categories)
        names = input_names(encoding) or examples.columns
        self.transform = column_transform(x, self.scale, self.features, self.degree, names=names, encoding=encoding)
        if x.is_floating_point():  # images stay bytes in memory and are scaled by the loader
            samples = {stage: (inputs(x, self.transform), y) for stage, (x, y) in samples.items()}
        if examples.task == "regression":
            self.transform |= target_transform(samples["train"][1], self.scale_target)
            samples = scale_targets(samples, self.transform)
        self.weights = sample_weights(examples, self.indices, self.balance)
        self.samples = samples

    @property
    def input_names(self) -> list[str]:
        """The names of the model's inputs: encoded columns and features; empty if the columns have no names."""
        columns = input_names(self.transform.get("encoding", [])) or list(self.examples.columns)
        return feature_names(columns, self.features, self.degree) if columns else []

    def number_of(self, stage: str) -> int:
        """Return the number of samples of a stage."""
        return len(self.samples[stage][1])

    @property
    def samples_per_step(self) -> int:
        """The batch size as a number."""
        return self.number_of("train") if isinstance(self.batch_size, str) else self.batch_size

    def model_kwargs(self) -> dict[str, Any]:
        """Return the model arguments that depend on the data; a constructor gets those that its signature has."""
        self.setup()
        examples = self.examples
        return {
            "input_shape": list(self.samples["train"][0].shape[1:]),
            "task": examples.task,
            "num_outputs": examples.num_outputs * len(self.quantiles or [0.5]),
            "class_names": list(examples.class_names),
            "target_std": self.transform.get("target_std"),
        } | ({"quantiles": self.quantiles} if self.quantiles is not None else {})

    def state_dict(self) -> dict[str, Any]:
        """Return the columns and their transform, with which a checkpoint can predict from raw columns."""
        encoding = {"encoding": compact(self.transform["encoding"])} if "encoding" in self.transform else {}
        examples = self.examples
        names = {"columns": examples.columns, "targets": examples.targets, "class_values": examples.class_values}
        return {key: list(value) for key, value in names.items()} | self.transform | encoding

    def train_dataloader(self) -> TensorLoader:
        batch = self.samples_per_step
        trainer = self.trainer if self.supports_multi_step else None
        num_steps = None if isinstance(self.steps_per_execution, str) or not trainer else self.steps_per_execution
        if trainer and num_steps is None:
            num_steps = steps_per_second(self.samples["train"][0][0], trainer.lightning_module, batch)
        # With overfit_batches the same first batches are used in every epoch.
        seed = None if self.trainer and overfits_batches(self.trainer) else self.seed
        return self.loader("train", batch, seed, num_steps=num_steps)

    def val_dataloader(self) -> TensorLoader | list[Any]:
        return self._evaluation("val")

    def test_dataloader(self) -> TensorLoader | list[Any]:
        return self._evaluation("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # the loader's tensors are on the device already

    def _evaluation(self, stage: str) -> TensorLoader | list[Any]:
        x, y = self.samples[stage]
        # About 4 MB of inputs, so that those of images and the output of the first layer stay in the cache.
        return self.loader(stage, max(1, min(4096, 1_000_000 // x[0].numel()))) if len(y) else []

    def loader(
        self, stage: str, batch_size: int, seed: int | None = None, num_steps: int | None = None
    ) -> TensorLoader:
        """Return a loader over the samples of a stage, on the trainer's device; see TensorLoader."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        x, y = (t.to(device) for t in self.samples[stage])
        weights = self.weights[stage].to(device) if stage in self.weights else None
        shift = self.examples.shift if seed is not None else 0
        pixels = None if x.is_floating_point() else Pixels(self.transform, shift)
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        passes = self.passes if stage == "train" and seed is not None else 1
        return TensorLoader(
            x, y, batch_size, seed=seed, num_steps=num_steps, pixels=pixels, rank=rank, world_size=world_size,
            passes=passes, weights=weights, drop_last=self.drop_last and seed is not None,
        )  # fmt: skip


def model_kwargs(data: pl.LightningDataModule) -> dict[str, Any]:
    """Return `Data.model_kwargs`; empty for another LightningDataModule."""
    return data.model_kwargs() if isinstance(data, Data) else {}


def has_test_samples(data: pl.LightningDataModule) -> bool:
    """Return whether there are test samples; for another LightningDataModule, whether it has a test_dataloader."""
    if isinstance(data, Data):
        return data.number_of("test") > 0
    return is_overridden("test_dataloader", data, pl.LightningDataModule)
