"""Every YAML file composes and matches its constructor; every choice trains."""

import pytest
import torch
from conftest import PROJECT, compose_config, slow_after

from kindling import UserError
from kindling.cli.build import build
from kindling.cli.conf import choice_file, choices


@pytest.mark.slow
@pytest.mark.parametrize("data", choices("data"))
@pytest.mark.parametrize("model", choices("model"))
def test_every_pair_of_data_and_model_fits_eight_samples_or_is_rejected(data, model):
    own = {"csv": ["data.path=src/kindling/lectures/data/linear9.csv"], "playback": ["data.num_examples=200"]}.get(
        data, []
    )
    cfg = compose_config(f"data={data}", f"model={model}", "folder=unused", *own)
    loaded = build(cfg.data)
    if "mnist" in data and "folder" in cfg.data and not (PROJECT / cfg.data.folder).exists():
        pytest.skip(f"{cfg.data.folder} has no files: `python train.py data={data}` downloads them")
    if model == "cnn" and "mnist" not in data:
        with pytest.raises(ValueError, match="model=cnn needs images"):
            build(cfg.model, **loaded.model_kwargs())
        return
    if model == "towers" and data != "two_inputs":
        with pytest.raises(ValueError, match="model=towers needs 18 columns"):
            build(cfg.model, **loaded.model_kwargs())
        return
    if model == "realmlp" and "mnist" in data:
        with pytest.raises(UserError, match="scale=robust only works with tables"):
            loaded.setup()
        return
    module = build(cfg.model, **loaded.model_kwargs())
    x, y = (part[:8] for part in next(iter(loaded.train_dataloader())))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.003 if model == "cnn" else 0.02)
    first = loss = module.loss(module(x), y)
    for _ in range(2_000):
        if loss.item() < 0.05:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss = module.loss(module(x), y)
    two_inputs_and_a_line = model in ("linear", "logistic") and x.shape[1:] == (2,)
    assert loss.item() < (first if two_inputs_and_a_line else 0.05)


@pytest.mark.parametrize("optimizer", slow_after(3, choices("optimizer")))
def test_every_optimizer_lowers_the_loss(run, optimizer):
    result = run("data=blobs", f"optimizer={optimizer}", "epochs=3")
    assert result["metrics"]["val/accuracy"] > 0.8


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_states_its_command_and_time(experiment):
    text = choice_file("experiment", experiment).read_text(encoding="utf-8")
    comment = " ".join(line for line in text.splitlines() if line.startswith("#"))
    assert f"python train.py experiment={experiment}" in comment
    assert " s" in comment
    compose_config(f"experiment={experiment}")


@pytest.mark.parametrize("trainer", choices("trainer"))
def test_every_trainer_can_be_built_if_its_device_exists(trainer, tmp_path):
    available = {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(trainer, True):
        pytest.skip(f"this machine has no {trainer}")
    cfg = compose_config(f"trainer={trainer}", "data=blobs", f"folder={tmp_path}")
    data = build(cfg.data)
    model = build(cfg.model, **data.model_kwargs())
    assert build(cfg.trainer, model=model, data=data, logger=[]).max_epochs == 30


@pytest.mark.parametrize("logger", choices("logger"))
def test_every_logger_gets_the_metrics_of_each_epoch(run, tmp_path, logger):
    run("data=blobs", "epochs=2", f"logger={logger}")
    if logger == "csv":
        assert (tmp_path / "run/csv/metrics.csv").read_text(encoding="utf-8").count("\n") >= 3
    else:
        assert list((tmp_path / "run").glob("events.*"))


@pytest.mark.parametrize(
    ("task", "target", "metric"),
    [
        ("multiclass", "label", "test/f1"),
        ("multilabel", "[odd,label]", "test/auroc"),
        ("regression", "[a,b]", "test/r2"),
    ],
)
def test_every_task_trains_from_a_csv_and_one_command(run, table, task, target, metric):
    overrides = [override for override in table if override != "trainer=cpu"]
    result = run(*overrides, f"data.task={task}", f"data.target={target}", "epochs=2")
    assert (result["status"], metric in result["metrics"]) == ("finished", True)


def test_two_loggers_at_once(run, tmp_path):
    run("data=blobs", "epochs=1", "logger=[tensorboard,csv]")
    assert list((tmp_path / "run").glob("events.*"))
    assert (tmp_path / "run/csv/metrics.csv").exists()


@pytest.mark.parametrize(
    ("overrides", "optimizer", "weight_decay"),
    [
        (["data=csv"], "AdamW", 0.05),
        (["data=csv", "weight_decay=0.2"], "AdamW", 0.2),
        (["data=csv", "optimizer=sgd"], "SGD", 0.0),
        (["data=csv", "optimizer=adam"], "Adam", 0.0),
        (["data=diabetes"], "Adam", 0.0),
    ],
)
def test_your_own_table_trains_with_weight_decay_unless_another_optimizer_is_given(overrides, optimizer, weight_decay):
    cfg = compose_config(*overrides, "data.path=my.csv")
    assert cfg.optimizer._target_ == f"torch.optim.{optimizer}"
    assert cfg.model.optimizer.weight_decay == weight_decay
