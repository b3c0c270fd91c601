"""Opening a run folder that somebody else has written executes nothing that it names."""

import subprocess
import sys

import pytest
import torch
from conftest import PROJECT, compose_config
from omegaconf import OmegaConf
from trust_helpers import SMALL, trained

from kindling import UserError
from kindling.cli.foreign import own_targets, reject_foreign_overrides, reject_foreign_targets
from kindling.training.load import config_of
from kindling.training.saved_model import SavedModel

__all__ = ["trained"]

ATTACKS = [
    "os.system",
    "posix.system",
    "builtins.exec",
    "shutil.rmtree",
    "subprocess.Popen",
    "torch.nn.parallel.distributed.os.system",
    "pytorch_lightning.trainer.trainer.os.system",
    "torch.hub.load",
    "torch.load",
    "torch.utils.cpp_extension.load",
    "torch.nn.functional.importlib.import_module",
    "numpy.load",
    "hydra.utils.instantiate",
    "hydra.utils.call",
    "kindling.cli.build.build",
    "kindling.training.load.load",
    "kindling.training.saved_model.SavedModel",
    "kindling.data.download.download",
    "pip.__main__.main",
    "${oc.env:HOME}",
]


@pytest.mark.parametrize("target", ATTACKS)
def test_a_target_that_is_not_for_training_is_rejected(target, tmp_path):
    (tmp_path / ".hydra").mkdir()
    node = {"_target_": target, "command": "true"}
    for place in ("data", "model.loss", "callbacks.records", "model.deeper.list"):
        cfg = compose_config(*SMALL)
        OmegaConf.update(cfg, place, [node] if place.endswith("list") else node, force_add=True)
        OmegaConf.save(cfg, tmp_path / ".hydra" / "config.yaml")
        with pytest.raises(UserError, match=r"could execute arbitrary code. If you trust its source, add trust=true"):
            config_of(tmp_path)


@pytest.mark.parametrize(
    "target",
    [
        "torch.nn.HuberLoss",
        "torch.nn.functional.huber_loss",
        "torch.optim.SGD",
        "torch.optim.lr_scheduler.ExponentialLR",
        "torchmetrics.MatthewsCorrCoef",
        "torchmetrics.functional.matthews_corrcoef",
        "pytorch_lightning.callbacks.LearningRateMonitor",
        "pytorch_lightning.loggers.CSVLogger",
        "kindling.tasks.losses.mse",
        "stock_modules.Logs",
    ],
)
def test_models_losses_optimizers_metrics_and_callbacks_are_accepted(target, tmp_path):
    reject_foreign_targets({"node": {"_target_": target}}, tmp_path)


def test_the_projects_own_configs_are_accepted_without_an_import():
    code = (
        "import sys; from pathlib import Path; from kindling.cli import foreign\n"
        "foreign.reject_foreign_targets([{'_target_': t} for t in foreign.own_targets()], Path())\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
    assert "kindling.models.mlp.Deep" in own_targets()


def test_a_node_that_a_resolver_makes_is_rejected(trained):
    config = trained / ".hydra" / "config.yaml"
    cfg = OmegaConf.load(config)
    cfg.model.loss = "${oc.decode:${text}}"
    cfg.text = "{_tar" + "get_: os.system, command: 'true'}"
    OmegaConf.save(cfg, config)
    with pytest.raises(UserError, match=r"would call os\.system"):
        config_of(trained)


def test_a_target_in_the_hyperparameters_of_a_checkpoint_is_rejected(trained, tmp_path):
    best, witness = trained / "checkpoints" / "best.ckpt", tmp_path / "witness"
    content = torch.load(best, weights_only=True)
    content["hyper_parameters"]["activation"] = {"_target_": "os.system", "command": f"touch {witness}"}
    torch.save(content, best)
    with pytest.raises(UserError, match=r"would call os\.system"):
        SavedModel(trained)
    assert not witness.exists()


@pytest.mark.slow
def test_resume_executes_nothing_that_the_config_names(tmp_path):
    folder, witness = tmp_path / "run", tmp_path / "witness"
    train = [sys.executable, str(PROJECT / "train.py")]
    subprocess.run([*train, *SMALL, f"hydra.run.dir={folder}"], cwd=tmp_path, check=True, capture_output=True)
    config = folder / ".hydra" / "config.yaml"
    cfg = OmegaConf.load(config)
    cfg.callbacks.evil, cfg.trust = {"_target_": "os.system", "command": f"touch {witness}"}, True
    OmegaConf.save(cfg, config)
    done = subprocess.run(
        [*train, f"resume={folder}", "epochs=3"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "would call os.system" in done.stderr
    assert "Traceback" not in done.stderr
    assert not witness.exists()


@pytest.mark.parametrize(
    "override",
    [
        "+callbacks.evil._target_=os.system",
        "+callbacks.evil={_target_: os.system, command: id}",
        "hydra.launcher._target_=os.system",
        "hydra.searchpath=[/tmp/evil]",
        "+hydra.callbacks.evil._target_=kindling.cli.before_run.Check",
    ],
)
def test_overrides_in_the_folder_of_a_sweep_are_checked(override, tmp_path):
    with pytest.raises(UserError, match="add trust=true"):
        reject_foreign_overrides(["seed=0,1", override], tmp_path)


def test_ordinary_overrides_are_accepted(tmp_path):
    reject_foreign_overrides(["seed=0,1", "loss={_target_: torch.nn.HuberLoss}", "hydra.sweep.dir=x"], tmp_path)
