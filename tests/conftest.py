"""Shared fixtures and helpers: runs in this process and in subprocesses, a small data set, a copy of the project."""

import csv
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from forked import Forked
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from kindling.cli import validation
from kindling.cli.build import build
from kindling.cli.hyperparameters import read_options
from kindling.cli.overrides import parse_overrides
from kindling.data.synthetic import Blobs
from kindling.files import PACKAGE
from kindling.models.mlp import Deep
from kindling.training.checkpoint import BestAndLast

torch.set_num_threads(1)  # for small models, more threads only wait for each other (training/device.py)
PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))


def needs(part: str):
    """Return a mark that skips a test if an optional part is stripped, e.g. "callbacks/pictures.py"."""
    return pytest.mark.skipif(not (PACKAGE / part).exists(), reason=f"{part} is stripped")


def slow_after(number: int, values) -> list:
    """Return the values of a test's parameter, marked as slow after the first ones."""
    return [pytest.param(v, marks=[pytest.mark.slow] * (i >= number)) for i, v in enumerate(values)]


# Overrides of every run in this process: figures are tested separately, and may be stripped.
PLAIN = ["pictures=none"] if (PACKAGE / "callbacks" / "pictures.py").exists() else []
FLOAT = 1e-6  # tolerance for float32 weights after a few epochs


def compose_config(*overrides: str, **options) -> DictConfig:
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides), **options)


def train_here(args: list[str], folder: Path) -> dict:
    """Train in this process as `python train.py <args>` does, and return the content of result.json."""
    import train

    cfg = compose_config(*args, f"folder={folder}", return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    try:
        train.train(cfg, args)
    finally:
        HydraConfig.instance().cfg = None
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def rows_of(folder):
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def weights_of(folder, name="last"):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", map_location="cpu", weights_only=True)["state_dict"]


def built(*overrides):
    cfg = compose_config(*overrides)
    data = build(cfg.data)
    torch.manual_seed(cfg.seed)
    return data, build(cfg.model, **data.model_kwargs())


def made(*overrides):
    """Return the data of these overrides after setup."""
    data = build(compose_config(*overrides).data)
    data.setup()
    return data


def notes(*overrides):
    """Return the notes on overrides that have no effect."""
    cfg, given = compose_config(*overrides, "folder=here"), parse_overrides(overrides)
    raw, resolved = (OmegaConf.to_container(cfg, resolve=resolve) for resolve in (False, True))
    return validation.notes(given, resolved, read_options(raw), choices=given)


def plain_loop(*overrides, optimizer, loss=None, before_step=None, after_step=None, after_epoch=None):
    """Return the model of these overrides after a plain PyTorch training loop, as an oracle.

    The callables are loss(logits, y), before_step(model), after_step(model, optimizer), after_epoch(model, optimizer).
    """
    data, model = built(*overrides)
    loader, opt = data.train_dataloader(), optimizer(model.parameters())
    for epoch in range(compose_config(*overrides).epochs):
        loader.set_epoch(epoch)
        for x, y in loader:
            opt.zero_grad()
            (loss or torch.nn.functional.binary_cross_entropy_with_logits)(model(x), y).backward()
            if before_step:
                before_step(model)
            opt.step()
            if after_step:
                after_step(model, opt)
        if after_epoch:
            after_epoch(model, opt)
    return model


def assert_weights(folder, model, name="last"):
    for key, tensor in weights_of(folder, name).items():
        torch.testing.assert_close(tensor, model.state_dict()[key], atol=FLOAT, rtol=0, msg=key)


class Sends(pl.Callback):
    """Sends a signal to its own process when the hook `on_<hook>` is called for the second time."""

    supports_multi_step = True

    def __init__(self, number: int, hook: str):
        self.left = 2

        def fire(*_) -> None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), number)

        setattr(self, f"on_{hook}", fire)


def fitted(folder, *callbacks, steps_per_execution="auto", ckpt_path=None, steps=6 * 29) -> dict:
    """Train a model with dropout for six epochs without Hydra, with checkpoints in `folder`, and return its weights."""
    torch.manual_seed(0)
    data = Blobs(steps_per_execution=steps_per_execution)
    model = Deep(**data.model_kwargs(), dropout=0.1, optimizer=partial(torch.optim.Adam, lr=0.01))
    trainer = pl.Trainer(
        max_epochs=6, accelerator="cpu", callbacks=[*callbacks, BestAndLast(folder)],
        logger=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path)
    assert trainer.global_step == steps
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def run(tmp_path):
    """Return run("data=ring", ..., folder="a"), which trains in tmp_path/a and returns the content of result.json."""

    def call(*overrides: str, folder: str = "run") -> dict:
        return train_here([*PLAIN, *overrides, "trainer=cpu"], tmp_path / folder)

    return call


@pytest.fixture
def table(tmp_path):
    """Write a CSV of 60 linearly separable samples, and return the overrides to train on it."""
    rows = [f"{i % 7 - 3},{i % 5 - 2},{i % 2},{int(2 * (i % 7 - 3) + i % 5 - 2 > 0)}" for i in range(60)]
    path = tmp_path / "tiny.csv"
    path.write_text("\n".join(["a,b,odd,label", *rows]) + "\n", encoding="utf-8")
    no_gaps = "data.zero_is_missing=[]"
    return ["data=diabetes", f"data.path={path}", "data.target=label", no_gaps, "data.class_names=null", "trainer=cpu"]


@pytest.fixture(scope="session")
def forked():
    """Yield a process with the libraries imported, from which programs are forked; None without os.fork."""
    process = Forked() if hasattr(os, "fork") else None
    yield process
    if process:
        process.close()


@pytest.fixture
def shell(tmp_path, forked):
    """Return shell("train.py", "epochs=1"), which runs a script in tmp_path; with fresh=True in a new interpreter."""

    def call(script: str, *args: str, env: dict | None = None, check: bool = False, fresh: bool = False):
        if forked and not fresh:
            done = forked.run(PROJECT / script, list(args), tmp_path, env)
        else:
            command = [sys.executable, str(PROJECT / script), *args]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120, env=env)
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return call


@pytest.fixture(scope="session")
def trained_before() -> dict:
    """Return overrides -> the folder of a run of this session, of which `finished` makes copies."""
    return {}


@pytest.fixture
def finished(run, tmp_path, tmp_path_factory, trained_before):
    """Return finished("data=blobs", ...), which trains and returns the run's folder, including Hydra's config."""

    def train(*overrides: str):
        folder = tmp_path / "run"
        if before := trained_before.get(overrides):
            return Path(shutil.copytree(before, folder))
        run(*overrides)
        (folder / ".hydra").mkdir()
        OmegaConf.save(compose_config(*overrides, "trainer=cpu"), folder / ".hydra" / "config.yaml")
        if not any(str(tmp_path) in override for override in overrides):
            trained_before[overrides] = shutil.copytree(folder, tmp_path_factory.mktemp("trained") / "run")
        return folder

    return train


@pytest.fixture
def stock(run, tmp_path):
    """Return stock("Logs", ...), which trains a class of stock_modules.py on blobs and returns its result.json."""

    def train(name: str, *overrides: str, **kwargs) -> dict:
        folder = tmp_path / "conf" / "model"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stock.yaml").write_text(f"_target_: stock_modules.{name}\n", encoding="utf-8")
        return run(
            f"hydra.searchpath=[file://{folder.parent}]", "data=blobs", "model=stock", "epochs=3", *overrides, **kwargs
        )

    return train


@pytest.fixture
def copy(tmp_path) -> Path:
    """Return a copy of the project without the files that git ignores."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = (
        subprocess.run(command, cwd=PROJECT, capture_output=True, encoding="utf-8") if shutil.which("git") else None
    )
    target = tmp_path / "copy"
    if listed is None or listed.returncode != 0:
        ignore = shutil.ignore_patterns(".git", ".venv", "runs", "build", "__pycache__", "*.egg-info", ".*_cache")
        return Path(shutil.copytree(PROJECT, target, ignore=ignore))
    for name in filter(lambda name: (PROJECT / name).is_file(), listed.stdout.splitlines()):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, target / name)
    return target


def python(folder: Path, *args: str) -> subprocess.CompletedProcess:
    """Run `python <args>` in a copy of the project, with the copy's package instead of the installed one."""
    site = folder.parent / "site" / "sitecustomize.py"
    site.parent.mkdir(exist_ok=True)
    code = f"import sys\nsys.path[:] = [path for path in sys.path if path != {str(PROJECT / 'src')!r}]\n"
    site.write_text(code, encoding="utf-8")
    paths = os.pathsep.join([str(site.parent), str(folder / "src")])
    env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *args]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=900)


@pytest.fixture
def mixed(tmp_path):
    """Return the path of a table with numbers, categories, booleans, dates and gaps, and a target with classes."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "row": range(200),
        "age": rng.integers(20, 70, 200).astype(float),
        "town": rng.choice(["Rome", "Oslo", "Bonn"], 200),
        "member": rng.choice(["true", "false"], 200),
        "joined": pd.date_range("2020-01-01", periods=200).strftime("%d/%m/%Y"),
    })  # fmt: skip
    table["churn"] = np.where(table.age + 20 * (table.town == "Rome") > 50, "Yes", "no")
    table.loc[::7, "age"] = np.nan
    table.loc[::11, "town"] = None
    table.to_csv(tmp_path / "mixed.csv", index=False)
    return tmp_path / "mixed.csv"


@pytest.fixture
def churn(finished, mixed):
    return finished("data=csv", f"data.path={mixed}", "data.target=churn", "epochs=5")
