"""The loggers of a resumed run show every epoch once at its step, for all models and readers."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections import Counter

import numpy as np
import pytest
import pytorch_lightning as pl
from conftest import PLAIN, compose_config, needs, rows_of, slow_after
from matplotlib.image import imread
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kindling.training.checkpoint import BestAndLast
from kindling.training.loggers import TensorBoard

EPOCHS = 6
BUILT_IN = ["data=blobs", "model=deep", f"epochs={EPOCHS}"]
STOP = f"{{_target_: conftest.Sends, number: {int(signal.SIGINT)}, hook: train_epoch_end}}"  # after two epochs


class CopiesFolder(pl.Callback):
    """Copies the run's folder in the state after a kill in the fourth epoch, with records that are in no checkpoint."""

    supports_multi_step = True

    def __init__(self, folder: str, to: str):
        self.folder, self.to = folder, to

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == 2:  # no checkpoint from here on
            next(c for c in trainer.callbacks if isinstance(c, BestAndLast)).every_seconds = 1e9

    def on_validation_end(self, trainer, pl_module):
        if trainer.current_epoch == 3:
            for logger in trainer.loggers:
                logger.save()
                if isinstance(logger, pl.loggers.TensorBoardLogger):
                    logger.experiment.flush()
            shutil.copytree(self.folder, self.to)


@pytest.fixture
def overrides_for(tmp_path):
    """Return overrides_for(kind), the overrides for a built-in model ("builtin") or a user's module ("stock")."""
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/stock.yaml").write_text("_target_: stock_modules.Logs\n")
    stock = [f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "data=blobs", "model=stock", f"epochs={EPOCHS}"]
    return {"builtin": BUILT_IN, "stock": stock}.__getitem__


def resume_here(folder, *overrides):
    """Resume a run in its folder, like `python train.py resume=...`, given its original overrides."""
    import train

    (folder / ".hydra").mkdir(exist_ok=True)
    cfg = compose_config(*PLAIN, "trainer=cpu", *overrides, f"folder={folder}")
    OmegaConf.save(cfg, folder / ".hydra/config.yaml")
    OmegaConf.save(OmegaConf.create(list(overrides)), folder / ".hydra/overrides.yaml")
    OmegaConf.save(OmegaConf.create({"hydra": {"runtime": {"choices": {}}}}), folder / ".hydra/hydra.yaml")
    train.train(compose_config(f"resume={folder}", f"folder={folder}"), [f"resume={folder}"])


def scalars(folder):
    """Count (tag, step) of all scalars with TensorBoard's Python reader."""
    events = EventAccumulator(str(folder)).Reload()
    return Counter((tag, event.step) for tag in events.Tags()["scalars"] for event in events.Scalars(tag))


@pytest.fixture
def stopped(run, overrides_for, tmp_path):
    """Return stopped(kind, how), which gives the folder of a run that ended early and its overrides."""

    def end(kind, how, *overrides):
        own = [*overrides_for(kind), "+callbacks.checkpoints.every_seconds=-1", *overrides]
        if how == "killed":
            copies = f"{{_target_: test_rewind.CopiesFolder, folder: {tmp_path / 'whole'}, to: {tmp_path / how}}}"
            run(*own, f"+callbacks.copy={copies}", folder="whole")
        else:
            with pytest.raises(SystemExit, match="130"):
                run(*own, f"+callbacks.stop={STOP}", folder=how)
        return tmp_path / how, own

    return end


@pytest.mark.parametrize("how", slow_after(1, ["stopped", "killed"]))
@pytest.mark.parametrize("kind", slow_after(1, ["builtin", "stock"]))
def test_tensorboard_has_every_epoch_once_at_the_steps_of_an_uninterrupted_run(run, stopped, tmp_path, kind, how):
    folder, own = stopped(kind, how)
    resume_here(folder, *own)
    run(*own, folder="uninterrupted")
    expected = scalars(tmp_path / "uninterrupted")
    assert scalars(folder) == expected
    assert {n for (tag, _), n in expected.items() if tag != "epoch"} == {1}  # Lightning writes that one twice
    names = ["train/loss", "val/loss", "lr"] if kind == "builtin" else ["train_loss", "val_loss", "lr"]
    step = 1 if kind == "builtin" else 29  # an epoch's
    first = 1 if kind == "builtin" else 28  # Lightning counts the steps from 0
    assert all(expected[name, first + step * epoch] == 1 for name in names for epoch in range(EPOCHS))


class StopsAtStart(pl.Callback):
    """Acts like a signal that arrives after `on_train_start`: the state before the first step is saved."""

    supports_multi_step = True

    def on_train_start(self, trainer, pl_module):
        next(c for c in trainer.callbacks if isinstance(c, BestAndLast)).signals.received = signal.SIGTERM


@pytest.mark.slow
@needs("callbacks/pictures.py")
def test_what_is_written_before_the_first_step_is_written_once(run, tmp_path):
    args = ["data=line", "model=linear", "epochs=2", "pictures=series"]
    run(*args, folder="whole")
    with pytest.raises(SystemExit, match="143"):
        run(*args, "+callbacks.stop={_target_: test_rewind.StopsAtStart}", folder="stopped")
    assert not (tmp_path / "stopped/checkpoints/last.ckpt").exists()
    resume_here(tmp_path / "stopped", *args)
    whole, stopped = (EventAccumulator(str(tmp_path / name)).Reload() for name in ("whole", "stopped"))
    for kind, read in (("tensors", "Tensors"), ("histograms", "Histograms"), ("images", "Images")):
        tags = [tag for tag in whole.Tags()[kind] if not tag.startswith("_hparams_")]
        assert tags
        for tag in tags:
            steps = [[event.step for event in getattr(events, read)(tag)] for events in (whole, stopped)]
            assert steps[0] == steps[1], tag
    pictures = [imread(tmp_path / name / "path.png") for name in ("whole", "stopped")]
    assert np.array_equal(*pictures)


class StopsBefore(pl.Callback):
    """Sends SIGTERM to its own process at the start of an epoch, counted from 0."""

    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("epoch", slow_after(1, [0, 1]))
def test_the_order_of_a_shuffled_dataloader_is_that_of_an_uninterrupted_run(run, tmp_path, epoch):
    for file, text in (("data/own", "stock_data.Points"), ("model/stock", "stock_modules.Logs\ninput_shape: [2]")):
        (tmp_path / "conf" / file).parent.mkdir(parents=True)
        (tmp_path / "conf" / f"{file}.yaml").write_text(f"_target_: {text}\n")
    args = [f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "data=own", "model=stock", "epochs=3"]
    run(*args, folder="whole")
    with pytest.raises(SystemExit, match="143"):
        run(*args, f"+callbacks.stop={{_target_: test_rewind.StopsBefore, epoch: {epoch}}}", folder="stopped")
    resume_here(tmp_path / "stopped", *args)
    assert rows_of(tmp_path / "stopped") == rows_of(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "killed"])
@pytest.mark.parametrize("kind", ["builtin", "stock"])
def test_the_csv_logger_keeps_the_earlier_epochs(run, stopped, tmp_path, kind, how):
    folder, own = stopped(kind, how, "logger=csv")
    resume_here(folder, *own)
    run(*own, folder="uninterrupted")
    files = [tmp_path / name / "csv/metrics.csv" for name in ("uninterrupted", how)]
    expected, found = (list(csv.DictReader(file.open())) for file in files)
    assert len(expected) >= EPOCHS
    assert found == expected


@pytest.mark.parametrize("damage", ["deleted", pytest.param("cut", marks=pytest.mark.slow)])
def test_metrics_csv_is_restored_from_the_checkpoint(run, stopped, tmp_path, damage, caplog):
    folder, own = stopped("builtin", "stopped")
    text = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").unlink() if damage == "deleted" else (folder / "metrics.csv").write_text(text[:-30])
    resume_here(folder, *own)
    assert "was restored from last.ckpt" in caplog.text
    run(*own, folder="uninterrupted")
    assert rows_of(folder) == rows_of(tmp_path / "uninterrupted")
    assert len(rows_of(folder)) == EPOCHS


def test_metrics_csv_of_a_finished_run_is_restored_too(run, tmp_path):
    run(*BUILT_IN, folder="finished")
    expected = (tmp_path / "finished/metrics.csv").read_text()
    (tmp_path / "finished/metrics.csv").unlink()
    resume_here(tmp_path / "finished", *BUILT_IN)
    assert (tmp_path / "finished/metrics.csv").read_text() == expected


def test_a_run_killed_after_its_last_epoch_is_completed(run, tmp_path):
    """Only the final checkpoint exists, and nothing that is written after training."""
    own = [*BUILT_IN, "data=diabetes"]
    run(*own, folder="whole")
    folder = tmp_path / "killed"
    shutil.copytree(tmp_path / "whole", folder)
    for file in folder.glob("*"):
        if file.is_file() and file.name not in ("metrics.csv", ".claim") and not file.name.startswith("events"):
            file.unlink()
    resume_here(folder, *own)
    assert {file.name for file in (tmp_path / "whole").glob("[!e.]*")} <= {file.name for file in folder.glob("*")}
    assert scalars(folder) == scalars(tmp_path / "whole")
    results = [json.loads((place / "result.json").read_text()) for place in (tmp_path / "whole", folder)]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[0].get("advice") == results[1].get("advice")


def test_seconds_include_all_parts_of_the_run(stopped, tmp_path):
    folder, own = stopped("builtin", "stopped")
    before = json.loads((folder / "result.json").read_text())["seconds"]
    resume_here(folder, *own)
    assert json.loads((folder / "result.json").read_text())["seconds"] > before


@pytest.mark.slow
@pytest.mark.parametrize("fast", ["true", "false"])
def test_both_of_tensorboards_readers_show_every_epoch_once(stopped, tmp_path, fast):
    folder, own = stopped("stock", "killed")
    resume_here(folder, *own)
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--load_fast", fast]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            address = next(line.split()[3] for line in server.stderr if line.startswith("TensorBoard"))
            url = f"{address}data/plugin/scalars/scalars?run=.&tag=val_loss"
            for _ in range(100):
                try:
                    steps = [step for _, step, _ in json.load(urllib.request.urlopen(url))]
                except urllib.error.HTTPError:  # not loaded yet
                    steps = []
                if len(steps) >= EPOCHS:
                    break
                server.poll()
        finally:
            server.terminate()
    assert steps == [28 + 29 * epoch for epoch in range(EPOCHS)]


def test_a_logger_that_cannot_be_rewound_gets_no_position(run, tmp_path):
    logger = f"{{_target_: pytorch_lightning.loggers.TensorBoardLogger, save_dir: {tmp_path / 'own'}}}"
    run("data=blobs", "epochs=1", f"+logger.own={logger}")  # it passes unknown arguments to its writer
    events = EventAccumulator(str(tmp_path / "own/lightning_logs/version_0"))
    assert "val/loss" in events.Reload().Tags()["scalars"]


def test_records_that_an_event_file_has_lost_are_announced(tmp_path, caplog):
    logger = TensorBoard(str(tmp_path))
    logger.log_metrics({"loss": 1.0}, step=1)
    mark = logger.mark()
    logger.experiment.close()
    file = tmp_path / next(iter(mark))
    size = file.stat().st_size
    TensorBoard(str(tmp_path), mark)
    assert not caplog.records
    os.truncate(file, size - 10)
    TensorBoard(str(tmp_path), mark)
    file.unlink()
    TensorBoard(str(tmp_path), mark)
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}: {left:,} of {size:,} bytes are left, so TensorBoard shows fewer records of it"
        for left in (size - 10, 0)
    ]
