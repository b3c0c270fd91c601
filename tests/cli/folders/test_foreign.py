"""Opening a run folder that somebody else has written executes nothing that it names."""

import subprocess
import sys

import pytest
import torch
from conftest import PROJECT, compose_config, slow_after
from omegaconf import OmegaConf
from trust_helpers import SMALL, trained

from kindling import UserError
from kindling.cli.folders.foreign import (
    own_resolvers,
    own_targets,
    reject_foreign_config,
    reject_foreign_overrides,
    reject_foreign_targets,
)
from kindling.training.prediction.saved_model import SavedModel
from kindling.training.run_folder import config_of

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
    "kindling.training.checkpoint_files.load",
    "kindling.training.prediction.saved_model.SavedModel",
    "kindling.data.download.download",
    "pip.__main__.main",
    "${oc.env:HOME}",
]


@pytest.mark.parametrize("target", slow_after(5, ATTACKS))
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
        "import sys; from pathlib import Path; from kindling.cli.folders import foreign\n"
        "foreign.reject_foreign_targets([{'_target_': t} for t in foreign.own_targets()], Path())\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
    assert "kindling.models.mlp.Deep" in own_targets()


@pytest.mark.parametrize(
    "text",
    [
        *("${oc.env:HOME}", "${oc.decode:${text}}", "${oc.decode:'{_targe${t}: os.system}'}", "${oc.create:{x: 1}}"),
        *("${${name}:HOME}", "x ${ oc.env : HOME }", "${model.${name}}"),
    ],
)
def test_an_interpolation_that_could_read_secrets_or_hide_a_target_is_rejected(text, tmp_path):
    with pytest.raises(UserError, match=r"has the interpolation .*could read secrets or execute code.*trust=true"):
        reject_foreign_config(OmegaConf.create({"folder": "x", "model": {"loss": [text]}}), tmp_path)


def test_the_resolvers_and_nodes_that_conf_uses_are_accepted(tmp_path):
    cfg = compose_config(*SMALL, "+extra=['${seed}','${model.width}','${better:${monitor}}']", f"folder={tmp_path}")
    reject_foreign_config(cfg, tmp_path)
    assert cfg.extra == [0, 4, "min"]
    assert own_resolvers() == {"better", "changed", "hydra", "name", "now", "or", "unique"}


@pytest.mark.parametrize(
    ("key", "path"),
    [
        *(("callbacks.records.folder", path) for path in ("/tmp", "${folder}/../other", "C:\\x", "a/../../x")),
        *(("callbacks.checkpoints.dirpath", "../other"), ("logger.tensorboard.save_dir", "~/x")),
        ("trainer.default_root_dir", "s3://bucket/x"),
    ],
)
def test_a_config_that_writes_outside_of_the_folder_is_rejected(key, path, tmp_path):
    cfg = compose_config(*SMALL, f"folder={tmp_path}")
    OmegaConf.update(cfg, key, path, force_add=True)
    with pytest.raises(UserError, match=r"would write to .*, outside of the folder\. .*trust=true"):
        reject_foreign_config(cfg, tmp_path)


BOARD = {"_target_": "kindling.training.loggers.TensorBoard", "mark": {}}  # it deletes other event files in its folder


@pytest.mark.parametrize("key", ["data", "model", "model.loss"])
@pytest.mark.parametrize(
    "writer", [BOARD, {"_target_": "pytorch_lightning.loggers.CSVLogger"}], ids=["project", "library"]
)
@pytest.mark.parametrize("place", ["runs/other", "/other"])
def test_what_writes_outside_of_the_folder_is_rejected_in_other_parts_too(key, writer, place, tmp_path, monkeypatch):
    (tmp_path / "runs/other").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    cfg = compose_config(*SMALL, f"folder={tmp_path / 'runs/this'}")
    OmegaConf.update(cfg, key, {**writer, "save_dir": place}, merge=False, force_add=True)
    with pytest.raises(UserError, match=rf"would write to {place} \({key[:5].rstrip('.')}\), outside of the folder"):
        reject_foreign_config(cfg, tmp_path / "runs/this")


def test_the_folder_of_another_run_is_outside_and_files_that_are_read_may_be_anywhere(tmp_path, monkeypatch):
    (tmp_path / "runs/other").mkdir(parents=True)
    (tmp_path / "table.csv").touch()
    monkeypatch.chdir(tmp_path)
    cfg = compose_config(*SMALL, f"folder={tmp_path / 'runs/this'}", "data=diabetes", f"data.path={tmp_path}/table.csv")
    reject_foreign_config(cfg, tmp_path / "runs/this")
    cfg.logger.tensorboard.save_dir = "runs/other"
    with pytest.raises(UserError, match="would write to runs/other"):
        reject_foreign_config(cfg, tmp_path / "runs/this")


def test_a_target_in_the_hyperparameters_of_a_checkpoint_is_rejected(trained, tmp_path):
    best, witness = trained / "checkpoints" / "best.ckpt", tmp_path / "witness"
    content = torch.load(best, weights_only=True)
    content["hyper_parameters"]["activation"] = {"_target_": "os.system", "command": f"touch {witness}"}
    torch.save(content, best)
    with pytest.raises(UserError, match=r"would call os\.system"):
        SavedModel(trained)
    assert not witness.exists()


def test_a_config_downloads_only_from_where_conf_does(trained):
    cfg = config_of(trained)
    cfg.data = {"_target_": "kindling.data.images.Idx", "folder": "data/mnist", "sources": ["https://evil.example/"]}
    with pytest.raises(UserError, match=r"would download from https://evil\.example/, which conf/"):
        reject_foreign_config(cfg, trained)
    cfg.data.sources = ["https://ossci-datasets.s3.amazonaws.com/mnist/"]
    reject_foreign_config(cfg, trained)


def test_a_part_that_cannot_be_resolved_does_not_hide_the_others(trained):
    cfg = config_of(trained)
    cfg.callbacks.broken = {"value": "${nowhere}"}
    cfg.callbacks.checkpoints.dirpath = "/elsewhere"
    with pytest.raises(UserError, match="would write to /elsewhere"):
        reject_foreign_config(cfg, trained)


@pytest.mark.parametrize("with_init", [False, True])
@pytest.mark.parametrize("place", ["sent", "sent_sweep/job"])
def test_a_module_that_came_with_the_folder_is_not_imported(place, with_init, tmp_path, monkeypatch):
    folder, witness = tmp_path / place, tmp_path / "witness"
    folder.mkdir(parents=True)
    package = tmp_path / place.split("/")[0]
    (package / "evil.py").write_text(f"open({str(witness)!r}, 'w')")
    if with_init:
        (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for target in (f"{package.name}.evil.Model", f"{package.name}.evil.x.Model"):
        with pytest.raises(UserError, match=r"which is not in an installed package or next to train\.py"):
            reject_foreign_targets({"_target_": target}, folder)
    assert not witness.exists()


@pytest.mark.slow
def test_a_module_in_the_working_folder_is_not_imported(trained, tmp_path):
    config, witness = trained / ".hydra" / "config.yaml", tmp_path / "witness"
    cfg = OmegaConf.load(config)
    cfg.model = {"_target_": "evil.Model"}
    OmegaConf.save(cfg, config)
    (tmp_path / "evil.py").write_text(f"open({str(witness)!r}, 'w')")
    command = [sys.executable, "-m", "kindling", "evaluate", "run=run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run would call evil.Model, which is not in an installed package" in done.stderr
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
        "+hydra.job_logging.handlers.evil={class: subprocess.Popen, args: [id]}",
        *("hydra.job_logging.handlers.file.filename=victim", "hydra.job.env_set={LD_PRELOAD: evil.so}"),
        *("hydra.sweep.subdir=/tmp/victim", "hydra.run.dir=victim", "folder=victim"),
        *("hydra.launcher.setup=[id]", "hydra.launcher.python=/tmp/evil", "hydra/launcher=../../../evil"),
        *("hydra.sweeper.params={hydra.job.env_set: {PATH: evil}}", "hydra.sweeper.params={data: /tmp/evil}"),
        *("model=../../sent/evil", "data=blobs,/tmp/evil", "+model@x=../evil"),
        *("callbacks.records.folder=/tmp/victim", "logger.tensorboard.save_dir='../victim'"),
        *("logger.tensorboard.save_dir=runs/victim", "logger.tensorboard={save_dir: 'runs/victim', mark: {}}"),
        *("+trainer.profiler={dirpath: ~/x}", "+data.x=${oc.env:HOME}"),
        '+callbacks.evil=${oc.decode:"{_targe${t}: os.system}"}',
    ],
)
def test_overrides_in_the_folder_of_a_sweep_are_checked(override, tmp_path, monkeypatch):
    (tmp_path / "runs/victim").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="add trust=true"):
        reject_foreign_overrides(["seed=0,1", override], tmp_path)


@pytest.mark.parametrize(
    "override",
    [
        *("seed=0,1", "loss={_target_: torch.nn.HuberLoss}", "data.path=../tables/x.csv", "data.path=/data/x.csv"),
        *("hydra.sweep.dir=x", "hydra/launcher=joblib", "hydra.launcher.workers=0", "hydra.launcher.timeout_min=60"),
        *("hydra.sweeper.n_trials=20", "hydra.sweeper.params={lr: 'interval(1e-4,0.1)'}", "hydra.job.chdir=true"),
        *(
            "experiment=lectures/diabetes",
            "~logger",
            "monitor=val/accuracy",
            "width=${depth}",
            "init=/data/weights.json",
        ),
    ],
)
def test_ordinary_overrides_are_accepted(override, tmp_path):
    reject_foreign_overrides([override], tmp_path)
