"""What a run leaves behind, as a user finds it."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from conftest import PROJECT, compose_config, rows_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kindling import UserError
from kindling.models.mlp import Deep
from kindling.training import result

NAMES = {"loss", "accuracy", "precision", "recall", "f1", "auroc"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run through the command line: its process and its folder."""
    cwd = tmp_path_factory.mktemp("user")
    command = [sys.executable, str(PROJECT / "train.py"), "activation=tanh", "epochs=4", "lr=0.01"]
    process = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    (folder,) = (cwd / "runs/diabetes-deep").iterdir()
    return process, folder


def test_the_folder_is_complete_and_its_name_carries_the_knobs(finished):
    process, folder = finished
    assert process.returncode == 0, process.stderr
    assert "_activation=tanh_epochs=4_lr=0.01_" in folder.name
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("events.out.tfevents")}
    assert len(events) == 1
    extras = {name for name in names if name.startswith(("confusion_matrix", "curves"))}
    assert names - events - extras == {
        *(".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", ".claim", "train.log"),
        *("metrics.csv", "result.json"),
        *("checkpoints/best.ckpt", "checkpoints/last.ckpt"),
    }


def test_the_console_shows_progress_table_matrix_folder_and_command(finished):
    process, folder = finished
    assert "epoch 4/4  train/loss" in process.stderr
    for part in (
        "best epoch",
        "accuracy",
        f"folder   runs/diabetes-deep/{folder.name}",
        "python train.py activation=tanh epochs=4",
    ):
        assert part in process.stdout
    for advert in ("💡", "litlogger", "GPU available", "Warning", "TPU"):
        assert advert not in process.stdout + process.stderr


def test_result_json_says_what_happened(finished):
    _, folder = finished
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["epochs"], result["params"]) == ("finished", 4, 1377)
    assert result["command"] == "python train.py activation=tanh epochs=4 lr=0.01"
    assert result["metrics"].keys() == {f"{stage}/{name}" for stage in ("train", "val", "test") for name in NAMES}
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    best = min(rows, key=lambda row: float(row["val/loss"]))
    assert result["best_epoch"] == int(best["epoch"])
    assert result["metrics"]["val/auroc"] == pytest.approx(float(best["val/auroc"]))


def test_tensorboard_has_scalars_config_and_hyperparameters(finished):
    _, folder = finished
    events = EventAccumulator(str(folder)).Reload()
    scalars = set(events.Tags()["scalars"])
    assert {f"{stage}/{name}" for stage in ("train", "val", "test") for name in NAMES} | {
        "lr",
        "with_best_weights/val_loss",
    } <= scalars
    assert [event.step for event in events.Scalars("val/loss")] == [1, 2, 3, 4]
    config = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "activation: tanh" in config
    assert "${" not in config
    assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} == set(events.PluginTagToContent("hparams"))


def test_the_best_checkpoint_is_plain_data_and_gives_the_test_score(finished):
    _, folder = finished
    path = folder / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["hyper_parameters"]["activation"] == "tanh"
    assert checkpoint["hyper_parameters"]["class_names"] == ["negative", "positive"]
    assert checkpoint["Table"]["columns"][0] == "pregnancies"
    assert "optimizer_states" not in checkpoint
    model = Deep.load_from_checkpoint(path, weights_only=True).eval()
    from kindling.cli.build import build

    data = build(compose_config().data)
    data.setup()
    x, y = data.samples["test"]
    accuracy = (model.task.preds(model(x)) == y[:, 0]).float().mean().item()
    assert accuracy == pytest.approx(json.loads((folder / "result.json").read_text())["metrics"]["test/accuracy"])


def test_the_last_checkpoint_is_the_last_epoch(finished):
    _, folder = finished
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 4 * 20


def test_a_maximum_can_be_monitored(run, tmp_path):
    result = run("data=diabetes", "monitor=val/accuracy", "epochs=8")  # the metric's name says that more is better
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").open()))
    assert result["score"] == max(float(row["val/accuracy"]) for row in rows)


def test_a_loss_that_grows_beyond_reason_is_diverged_and_the_best_weights_stay(run, tmp_path):
    result = run("data=diabetes", "optimizer=momentum", "lr=300", "epochs=50", "model=deep", "activation=identity")
    assert (result["status"], result["epochs"] < 50) == ("diverged", True)
    assert "in epoch" in result["diverged"]
    assert "step" in result["diverged"]


def test_a_loss_that_is_not_finite_is_diverged_with_its_step(run, tmp_path, table):
    words = [word for word in table if word != "trainer=cpu"]
    result = run(*words, "optimizer=sgd", "lr=1e30", "activation=identity", "depth=4", "epochs=50", "batch_size=8")
    assert result["status"] == "diverged"
    assert "not finite in epoch 1, step" in result["diverged"]
    assert 1 < int(result["diverged"].split("step ")[1]) <= 6


def test_a_failure_is_recorded_with_its_reason(run, tmp_path):
    with pytest.raises(ValueError, match="model=cnn wants images"):
        run("data=ring", "model=cnn")
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["status"] == "failed"
    assert "model=cnn wants images" in result["error"]


def test_a_crash_in_the_middle_keeps_the_best_weights_so_far(tmp_path):
    import pytorch_lightning as pl

    from kindling.data.synthetic import Blobs
    from kindling.training.checkpoint import BestAndLast

    class CrashesLate(Deep):
        def on_train_epoch_start(self):
            if self.current_epoch == 3:
                raise RuntimeError("planted")

    data, keep = Blobs(), BestAndLast(str(tmp_path))
    model = CrashesLate(**data.model_kwargs(), optimizer=lambda parameters: torch.optim.Adam(parameters, 0.01))
    trainer = pl.Trainer(
        max_epochs=9, accelerator="cpu", callbacks=[keep], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="planted"):
        trainer.fit(model, datamodule=data)
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert best["epoch"] + 1 == keep.best["epoch"] <= 3
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]


def test_a_refusal_on_the_command_line_has_no_traceback(shell):
    refused = shell("train.py", "data=ring", "model=cnn")
    assert refused.returncode == 2
    assert "model=cnn wants images" in refused.stderr
    assert "Traceback" not in refused.stderr


BORING = """
from pytorch_lightning.demos.boring_classes import BoringDataModule, BoringModel
from torch.utils.data import DataLoader

class Rows(BoringDataModule):
    def __init__(self, workers):
        super().__init__()
        self.workers = workers
    def train_dataloader(self):
        how = "spawn" if self.workers else None
        return DataLoader(self.random_train, num_workers=self.workers, multiprocessing_context=how)

class Net(BoringModel):
    def training_step(self, batch, batch_idx):
        out = super().training_step(batch, batch_idx)
        self.log("train/loss", out["loss"])
        return out
"""


def boring(tmp_path, shell, *words):
    """A user's file and their two one-call yamls, through train.py."""
    (tmp_path / "mine.py").write_text(BORING)
    for name, text in (("data", "_target_: mine.Rows\nworkers: 0"), ("model", "_target_: mine.Net")):
        (tmp_path / "conf" / name).mkdir(parents=True)
        (tmp_path / "conf" / name / "mine.yaml").write_text(text + "\n")
    process = shell(
        "train.py", "--config-dir", str(tmp_path / "conf"), "trainer=cpu", "epochs=2", *words,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return next((tmp_path / "runs").glob("*/*"))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_lightnings_boring_model_and_data_run_with_one_yaml_each(tmp_path, shell, workers):
    folder = boring(tmp_path, shell, "data=mine", "model=mine", f"data.workers={workers}")
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["epochs"]) == ("finished", 2)
    assert (folder / "checkpoints/best.ckpt").exists()
    assert len(list(csv.DictReader((folder / "metrics.csv").open()))) == 2
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 128  # 64 batches an epoch


def test_a_users_model_trains_on_our_data(tmp_path, shell):
    (tmp_path / "plain.py").write_text("""
import pytorch_lightning as pl, torch
class Net(pl.LightningModule):
    def __init__(self, input_shape):
        super().__init__()
        self.layer = torch.nn.Linear(input_shape[0], 1)
    def training_step(self, batch, i):
        x, y = batch
        return torch.nn.functional.binary_cross_entropy_with_logits(self.layer(x), y)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
""")
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/plain.yaml").write_text("_target_: plain.Net\n")
    process = shell(
        "train.py", "--config-dir", str(tmp_path / "conf"), "data=blobs", "model=plain", "epochs=2",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    folder = next((tmp_path / "runs").glob("*/*"))
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 58


def test_a_misspelt_monitor_is_refused_with_what_there_is(run):
    with pytest.raises(UserError, match=r"monitor=val/acuracy is none of this model's: choose val/loss, val/accuracy"):
        run("data=blobs", "monitor=val/acuracy", "epochs=2")


def test_epochs_without_validation_neither_beat_nor_repeat_validated_ones(run, tmp_path):
    result = run("data=blobs", "+trainer.check_val_every_n_epoch=3", "epochs=7")
    assert result["best_epoch"] in (3, 6)
    assert result["metrics"]["val/loss"] == result["score"]
    rows = rows_of(tmp_path / "run")
    assert [row["epoch"] for row in rows if row["val/loss"]] == ["3", "6"]


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_says_where_code_differs_from_it_or_is_not_in_git(tmp_path, monkeypatch):
    def git(*words: str) -> None:
        own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *own, *words], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(result, "PROJECT", tmp_path)
    (tmp_path / "a.py").touch()
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        git(*words)
    clean = result.commit.__wrapped__()
    assert re.fullmatch(r"[0-9a-f]{12}", clean)
    (tmp_path / "notes.txt").touch()
    assert result.commit.__wrapped__() == clean
    (tmp_path / "net.py").touch()
    assert result.commit.__wrapped__() == f"{clean}+untracked"
    (tmp_path / "a.py").write_text("x = 1", encoding="utf-8")
    assert result.commit.__wrapped__() == f"{clean}+changes+untracked"
