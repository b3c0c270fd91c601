"""Lightning runs the callbacks in the order of config.yaml, and they see the metrics of each epoch."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from conftest import compose_config, rows_of
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint

from kindling.cli.build import build
from kindling.data.synthetic import Blobs
from kindling.models.mlp import Deep
from kindling.training.checkpoint import BestAndLast
from kindling.training.loggers import CSV
from kindling.training.metrics_csv import Records


def test_lightning_runs_the_callbacks_in_the_order_of_the_config_and_one_is_the_checkpoint(tmp_path):
    cfg = compose_config("patience=3", "max_steps=10", f"folder={tmp_path}")
    cfg.mode = "min"
    callbacks = [callback for node in cfg.callbacks.values() if node and (callback := build(node))]
    trainer = pl.Trainer(callbacks=callbacks, logger=False, enable_progress_bar=False, enable_model_summary=False)
    assert len(callbacks) >= 6
    assert trainer.callbacks == callbacks
    assert trainer.checkpoint_callbacks == [trainer.checkpoint_callback]
    assert isinstance(trainer.checkpoint_callback, BestAndLast)


class Observer(pl.Callback):
    """Keeps callback_metrics at the end of each epoch, and the losses during validation."""

    supports_multi_step = True

    def __init__(self):
        self.ends: list[dict] = []
        self.validations: list[float] = []
        self.validated: list[float] = []

    def on_validation_start(self, trainer, pl_module):
        self.validations.append(float(trainer.callback_metrics["train/loss"]))

    def on_validation_epoch_end(self, trainer, pl_module):
        self.validated.append(float(trainer.callback_metrics["val/loss"]))

    def on_train_epoch_end(self, trainer, pl_module):
        self.ends.append({name: float(value) for name, value in trainer.callback_metrics.items()})


@pytest.mark.parametrize("steps_per_execution", ["auto", 1])
def test_lightnings_callbacks_find_the_metrics_of_the_epoch(tmp_path, steps_per_execution):
    torch.manual_seed(0)
    data, observer = Blobs(steps_per_execution=steps_per_execution), Observer()
    model = Deep(**data.model_kwargs(), optimizer=partial(torch.optim.Adam, lr=0.01))
    best = ModelCheckpoint(tmp_path / "best", monitor="train/loss", save_on_train_epoch_end=True)
    stops = EarlyStopping("train/loss", patience=50, stopping_threshold=0.27, check_on_train_epoch_end=True)
    callbacks = [
        observer,
        Records(tmp_path),
        *([best, stops, LearningRateMonitor()] if steps_per_execution == 1 else []),
    ]
    trainer = pl.Trainer(
        max_epochs=6, accelerator="cpu", callbacks=callbacks, logger=CSV(tmp_path), enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, enable_checkpointing=steps_per_execution == 1,
        log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    rows = rows_of(tmp_path)
    assert len(observer.ends) == len(rows)
    assert observer.validated == [float(row["val/loss"]) for row in rows]
    for end, row, at_validation in zip(observer.ends, rows, observer.validations, strict=True):
        assert end.keys() == row.keys() - {"epoch", "step", "lr"}
        assert [float(row[name]) for name in end] == list(end.values())
        assert at_validation == float(row["train/loss"])
    if steps_per_execution == 1:
        losses = [float(row["train/loss"]) for row in rows]
        assert float(best.best_model_score) == pytest.approx(min(losses))
        assert (losses[-1] <= 0.27, len(rows) < 6) == (True, True) or len(rows) == 6
        assert "lr-Adam" in trainer.logged_metrics or "lr-Adam" in (tmp_path / "csv/metrics.csv").read_text()
