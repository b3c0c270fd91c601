"""The files and the output of a run."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from conftest import PLAIN, PROJECT, compose_config, needs, rows_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kindling import UserError
from kindling.models.mlp import Deep
from kindling.training import result

NAMES = {"loss", "accuracy", "precision", "recall", "f1", "auroc"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the finished process and the folder of a run from the command line."""
    cwd = tmp_path_factory.mktemp("user")
    command = [sys.executable, str(PROJECT / "train.py"), "activation=tanh", "epochs=4", "lr=0.01"]
    process = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    (folder,) = (cwd / "runs/diabetes-deep").iterdir()
    return process, folder


def test_the_folder_is_complete_and_its_name_has_the_overrides(finished):
    process, folder = finished
    assert process.returncode == 0, process.stderr
    assert "_activation=tanh_epochs=4_lr=0.01_" in folder.name
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("events.out.tfevents")}
    assert len(events) == 1
    extras = {name for name in names if name.startswith(("confusion_matrix", "curves", "data.png"))}
    assert names - events - extras == {
        *(".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", ".claim", "train.log"),
        *("metrics.csv", "result.json", "split.csv"),
        *("checkpoints/best.ckpt", "checkpoints/last.ckpt"),
    }


def test_the_console_shows_progress_table_folder_and_command(finished):
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


def test_result_json_describes_the_run(finished):
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
    result = run(
        "data=diabetes", "monitor=val/accuracy", "epochs=8"
    )  # higher is better, according to the metric's name
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").open()))
    assert result["score"] == max(float(row["val/accuracy"]) for row in rows)


def test_a_run_whose_loss_grows_implausibly_has_diverged(run, tmp_path):
    result = run("data=diabetes", "optimizer=momentum", "lr=300", "epochs=50", "model=deep", "activation=identity")
    assert (result["status"], result["epochs"] < 50) == ("diverged", True)
    assert "in epoch" in result["diverged"]
    assert "step" in result["diverged"]


def test_a_run_whose_loss_is_not_finite_has_diverged_and_the_step_is_recorded(run, tmp_path, table):
    overrides = [override for override in table if override != "trainer=cpu"]
    result = run(*overrides, "optimizer=sgd", "lr=1e30", "activation=identity", "depth=4", "epochs=50", "batch_size=8")
    assert result["status"] == "diverged"
    assert "not finite in epoch 1, step" in result["diverged"]
    assert 1 < int(result["diverged"].split("step ")[1]) <= 6


def test_a_failure_is_recorded_with_its_reason(run, tmp_path):
    with pytest.raises(ValueError, match="model=cnn needs images"):
        run("data=ring", "model=cnn")
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["status"] == "failed"
    assert "model=cnn needs images" in result["error"]


def test_a_crash_keeps_the_best_weights_so_far(tmp_path):
    import pytorch_lightning as pl

    from kindling.data.synthetic import Blobs
    from kindling.training.checkpoint import BestAndLast

    class CrashesLate(Deep):
        def on_train_epoch_start(self):
            if self.current_epoch == 3:
                raise RuntimeError("planted")

    data, saver = Blobs(), BestAndLast(str(tmp_path))
    model = CrashesLate(**data.model_kwargs(), optimizer=lambda parameters: torch.optim.Adam(parameters, 0.01))
    trainer = pl.Trainer(
        max_epochs=9, accelerator="cpu", callbacks=[saver], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="planted"):
        trainer.fit(model, datamodule=data)
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert best["epoch"] + 1 == saver.best["epoch"] <= 3
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]


def test_a_user_error_on_the_command_line_has_no_traceback(shell):
    rejected = shell("train.py", "data=ring", "model=cnn")
    assert rejected.returncode == 2
    assert (rejected.stdout, rejected.stderr.count("\n")) == ("", 1)
    assert rejected.stderr.startswith("model=cnn needs images")


@pytest.mark.parametrize("where", [[], ["hydra.run.dir=new"], ["hydra.run.dir=old"]])
@pytest.mark.parametrize("error", [["model=cnn"], ["patience=3", "data.val_share=0"]], ids=["model", "trainer"])
def test_an_input_error_deletes_the_folder_that_the_run_has_made_and_no_other(shell, tmp_path, where, error):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/notes.log").touch()
    rejected = shell("train.py", "data=ring", *error, *where)
    assert (rejected.returncode, "folder " in rejected.stdout + rejected.stderr) == (2, False)
    assert not [*tmp_path.glob("runs/*/*"), *tmp_path.glob("new")]
    assert (tmp_path / "old/notes.log").exists()


@pytest.mark.slow
def test_an_input_error_keeps_a_run_of_another_process_in_the_same_folder(shell, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(MEANWHILE)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    rejected = shell("train.py", "data=blobs", "hydra.run.dir=new", env=env, fresh=True)
    assert (rejected.returncode, "already contains a run" in rejected.stderr) == (2, True), rejected.stderr
    assert (tmp_path / "new/.claim").exists()


@pytest.mark.slow
@needs("sweeps")
def test_a_job_with_an_input_error_keeps_its_folder_with_the_reason(shell, tmp_path):
    shell("train.py", "-m", "data=ring", "model=cnn", "seed=0,1", "sweep.name=s", *PLAIN)
    results = [json.loads(file.read_text()) for file in tmp_path.glob("runs/sweeps/s/*/result.json")]
    assert [(r["status"], "model=cnn needs images" in r["error"]) for r in results] == [("failed", True)] * 2


# Another process claims the folder after this one has checked that it does not exist.
MEANWHILE = """
import pathlib
original = pathlib.Path.mkdir
def mkdir(path, *args, **kwargs):
    original(path, *args, **kwargs)
    if path.name == "new":
        (path / ".claim").touch()
pathlib.Path.mkdir = mkdir
"""

BORING = """
from pytorch_lightning.demos.boring_classes import BoringDataModule, BoringModel
from torch.utils.data import DataLoader

class Random(BoringDataModule):
    def __init__(self, workers):
        super().__init__()
        self.workers = workers
    def train_dataloader(self):
        context = "spawn" if self.workers else None
        return DataLoader(self.random_train, num_workers=self.workers, multiprocessing_context=context)

class Net(BoringModel):
    def training_step(self, batch, batch_idx):
        out = super().training_step(batch, batch_idx)
        self.log("train/loss", out["loss"])
        return out
"""


def boring(tmp_path, shell, *args):
    """Run train.py with a user's module and two YAML files, and return the run's folder."""
    (tmp_path / "mine.py").write_text(BORING)
    for name, text in (("data", "_target_: mine.Random\nworkers: 0"), ("model", "_target_: mine.Net")):
        (tmp_path / "conf" / name).mkdir(parents=True)
        (tmp_path / "conf" / name / "mine.yaml").write_text(text + "\n")
    process = shell(
        "train.py", "--config-dir", str(tmp_path / "conf"), "trainer=cpu", "epochs=2", *args,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return next((tmp_path / "runs").glob("*/*"))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_lightnings_boring_model_and_data_run_with_one_yaml_file_each(tmp_path, shell, workers):
    folder = boring(tmp_path, shell, "data=mine", "model=mine", f"data.workers={workers}")
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["epochs"]) == ("finished", 2)
    assert (folder / "checkpoints/best.ckpt").exists()
    assert len(list(csv.DictReader((folder / "metrics.csv").open()))) == 2
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 128  # 64 batches an epoch


def test_a_users_model_trains_on_built_in_data(tmp_path, shell):
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


def test_a_misspelt_monitor_is_rejected_with_the_known_names(run):
    with pytest.raises(
        UserError, match=r"monitor=val/acuracy is not a value of this model: choose val/loss, val/accuracy"
    ):
        run("data=blobs", "monitor=val/acuracy", "epochs=2")


def test_epochs_without_validation_are_not_best_and_have_no_validation_values(run, tmp_path):
    result = run("data=blobs", "+trainer.check_val_every_n_epoch=3", "epochs=7")
    assert result["best_epoch"] in (3, 6)
    assert result["metrics"]["val/loss"] == result["score"]
    rows = rows_of(tmp_path / "run")
    assert [row["epoch"] for row in rows if row["val/loss"]] == ["3", "6"]


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_is_marked_if_code_differs_from_it_or_is_untracked(tmp_path, monkeypatch):
    def git(*args: str) -> None:
        config = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *config, *args], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(result, "PROJECT", tmp_path)
    (tmp_path / "a.py").touch()
    for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        git(*args)
    clean = result.commit.__wrapped__()
    assert re.fullmatch(r"[0-9a-f]{12}", clean)
    (tmp_path / "notes.txt").touch()
    assert result.commit.__wrapped__() == clean
    (tmp_path / "net.py").touch()
    assert result.commit.__wrapped__() == f"{clean}+untracked"
    (tmp_path / "a.py").write_text("x = 1", encoding="utf-8")
    assert result.commit.__wrapped__() == f"{clean}+changes+untracked"
