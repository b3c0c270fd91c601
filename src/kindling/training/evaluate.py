"""Scores the test rows of a run that has ended with its best weights."""

import json
import logging
import math
from pathlib import Path

from omegaconf import DictConfig

from kindling import UserError
from kindling.cli.build import build
from kindling.cli.monitor import split
from kindling.files import write_json
from kindling.training import load as saved
from kindling.training.result import test_metrics

log = logging.getLogger("kindling")

OF_TRAINING = ("limit_test_batches", "overfit_batches", "fast_dev_run", "profiler", "strategy", "num_nodes")


def evaluate(folder: Path, trust: bool = False) -> dict[str, float | None]:
    """Return the test metrics, which also go into the run's result.json, if it has one.

    Args:
        trust: open its checkpoint although that may run code.

    Raises:
        UserError: there is no such run, or it has no weights, no test rows, or a model that cannot be tested.
    """
    cfg, best = saved.config_of(folder), saved.best_checkpoint(folder)
    import torch

    from kindling.training.quiet import silence
    from kindling.training.trainer import choose_threads

    silence()
    data, model = saved.data_and_model(cfg)
    _refuse_untestable(folder, data, model)
    saved.load(best, trust)  # refuses before Lightning opens it
    confusion = cfg.get("callbacks", {}).get("confusion")
    callbacks = [build(confusion)] if confusion else []
    trainer = build(_alone(cfg.trainer), model=model, data=data, callbacks=callbacks, logger=False)
    threads = choose_threads(trainer, model, data)
    try:
        trainer.test(model, datamodule=data, ckpt_path=best, weights_only=not trust, verbose=False)
    finally:
        torch.set_num_threads(threads)
    found = test_metrics(trainer.callback_metrics)
    metrics = {name: value if math.isfinite(value) else None for name, value in found.items()}  # JSON has no NaN
    _keep(folder / "result.json", metrics)
    return metrics


def _refuse_untestable(folder: Path, data, model) -> None:
    import pytorch_lightning as pl
    from pytorch_lightning.utilities.model_helpers import is_overridden

    from kindling.data.base import has_test_samples

    if not has_test_samples(data):
        raise UserError(f"{folder} has no test rows to score: its data keeps none apart (data.test_share).")
    if not is_overridden("test_step", model, pl.LightningModule):
        raise UserError(f"{type(model).__name__} of {folder} has no test_step, which scores the test rows: write one.")


def _alone(trainer: DictConfig) -> DictConfig:
    """The run's trainer for one process over all test rows, on an accelerator only where there is one."""
    for key in OF_TRAINING:
        trainer.pop(key, None)
    if "devices" in trainer:
        trainer.devices = 1
    if trainer.get("accelerator") not in (None, "cpu"):
        trainer.accelerator = "auto"
    return trainer


def _keep(file: Path, metrics: dict) -> None:
    if not file.exists():
        log.info(f"{file} is missing (the run was killed), so the test metrics are not written down")
        return
    result = json.loads(file.read_text(encoding="utf-8"))
    kept = {name: value for name, value in result["metrics"].items() if split(name)[0] != "test"}
    write_json(file, {**result, "metrics": kept | metrics})
