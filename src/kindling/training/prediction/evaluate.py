"""Evaluation of a finished run's best weights on the test samples."""

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from kindling import UserError
from kindling.cli.build import build
from kindling.cli.folders.read import read_result
from kindling.cli.monitor import split
from kindling.files import BEST, reject_links, write_json
from kindling.training.checkpoint_files import load_best
from kindling.training.result import test_metrics
from kindling.training.run_folder import config_of, data_and_model

if TYPE_CHECKING:
    import pytorch_lightning as pl

log = logging.getLogger("kindling")

# Arguments of the Trainer that must not limit or distribute the test.
TRAINING_ONLY = ("limit_test_batches", "overfit_batches", "fast_dev_run", "profiler", "strategy", "num_nodes")


def evaluate(folder: Path, trust: bool = False) -> dict[str, float | None]:
    """Return the test metrics, and add them to the run's result.json if there is one.

    Args:
        folder: the run's folder.
        trust: load its checkpoint even though that may run code.

    Raises:
        UserError: there is no such run, or it has no weights, no test samples, or a model that cannot be tested.
    """
    reject_links(folder)
    cfg = config_of(folder, trust)
    checkpoint = load_best(folder, trust)  # raises before Lightning loads it
    if (folder / "result.json").exists():
        read_result(folder, "metrics")  # to which the test metrics are added
    import torch

    from kindling.models.base import Model
    from kindling.models.probabilities import divide_logits
    from kindling.training.device import choose_threads
    from kindling.training.quiet import silence

    silence()
    data, model = data_and_model(cfg)
    _reject_untestable(folder, data, model)
    if isinstance(model, Model) and "temperature" in checkpoint:
        divide_logits(model, checkpoint["temperature"])
    confusion = cfg.get("callbacks", {}).get("confusion")
    callbacks = [build(confusion)] if confusion else []
    trainer = build(_single_process(cfg.trainer), model=model, data=data, callbacks=callbacks, logger=False)
    threads = choose_threads(trainer, model, data)
    try:
        trainer.test(model, datamodule=data, ckpt_path=folder / BEST, weights_only=not trust, verbose=False)
    finally:
        torch.set_num_threads(threads)
    found = test_metrics(trainer.callback_metrics)
    metrics = {name: value if math.isfinite(value) else None for name, value in found.items()}  # JSON has no NaN
    _update_result(folder, metrics)
    return metrics


def _reject_untestable(folder: Path, data: "pl.LightningDataModule", model: "pl.LightningModule") -> None:
    import pytorch_lightning as pl
    from pytorch_lightning.utilities.model_helpers import is_overridden

    from kindling.data.base import has_test_samples

    if not has_test_samples(data):
        raise UserError(f"{folder} has no test samples: its data set has none (see data.test_share).")
    if not is_overridden("test_step", model, pl.LightningModule):
        raise UserError(f"The model of {folder}, {type(model).__name__}, has no test_step: add one to evaluate it.")


def _single_process(trainer: DictConfig) -> DictConfig:
    """Change the config of a run's trainer to one process, all test samples, and an accelerator only if present."""
    for key in TRAINING_ONLY:
        trainer.pop(key, None)
    if "devices" in trainer:
        trainer.devices = 1
    if trainer.get("accelerator") not in (None, "cpu"):
        trainer.accelerator = "auto"
    return trainer


def _update_result(folder: Path, metrics: dict[str, float | None]) -> None:
    file = folder / "result.json"
    if not file.exists():
        log.info(f"{file} does not exist (the run was killed), so the test metrics are not saved")
        return
    result = read_result(folder, "metrics")
    others = {name: value for name, value in result["metrics"].items() if split(name)[0] != "test"}
    write_json(file, {**result, "metrics": others | metrics})
