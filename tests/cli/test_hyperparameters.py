"""Hyperparameters recorded for TensorBoard's HPARAMS tab: the options a run reads, limited to those worth comparing."""

import logging

import pytest
from conftest import PLAIN, compose_config
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from kindling.cli.hyperparameters import hyperparameters

CHOICES = {"data": "diabetes", "model": "deep", "optimizer": "adam", "schedule": "none", "hydra/launcher": "together"}
MAIN = {"data", "model", "optimizer", "activation", "batch_size", "depth", "epochs", "lr", "seed", "width"}


def recorded(*overrides, **choices):
    cfg = compose_config(*overrides, "folder=run")
    raw, resolved = (OmegaConf.to_container(cfg, resolve=resolve) for resolve in (False, True))
    given = {override.lstrip("+").split("=")[0] for override in overrides}
    return hyperparameters(raw, resolved, CHOICES | choices, given)


def logged(folder):
    content = EventAccumulator(str(folder)).Reload().PluginTagToContent("hparams")["_hparams_/session_start_info"]
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: value.string_value or value.number_value for name, value in values.items()}


def test_a_default_run_records_only_the_main_options():
    assert recorded().keys() == MAIN


@pytest.mark.parametrize(
    ("overrides", "added"),
    [
        (["dropout=0"], {"dropout": 0}),  # given, though it is the default
        (["label_smoothing=0.1", "scale=minmax"], {"label_smoothing": 0.1, "scale": "minmax"}),
        (["features=polynomial", "degree=3"], {"features": "polynomial", "degree": 3}),
        (["degree=3"], {}),  # not read without features=polynomial
        (["data.val_share=0.2"], {"data.val_share": 0.2}),
        (["+optimizer.amsgrad=true"], {"optimizer.amsgrad": True}),
        (["optimizer.weight_decay=0.5"], {"optimizer.weight_decay": 0.5}),
        (["+model.seed=5"], {"model.seed": 5}),  # not the option seed
        (["model=cnn"], {"channels": [16, 32], "kernel_size": 3, "pool": "max", "stem": None}),  # in the model's file
        (["model=cnn", "model.pool=avg"], {"channels": [16, 32], "kernel_size": 3, "pool": "avg", "stem": None}),
        (["model=wide", "hidden_sizes=[6,4]"], {"hidden_sizes": [6, 4]}),  # depth is not read then
        (["trust=true", "verbose=true", "test=false"], {}),  # these control how it is run
    ],
)
def test_given_options_are_added(overrides, added):
    found = recorded(*overrides)
    assert {name: found[name] for name in found.keys() - MAIN} == added


def test_a_learning_rate_is_recorded_under_the_name_it_was_given():
    found = recorded("optimizer.lr=0.5", "lr=0.1")  # lr is not read then
    assert found["optimizer.lr"] == 0.5
    assert found.keys() == MAIN - {"lr"} | {"optimizer.lr"}


def test_options_set_in_a_node_determine_what_is_read():
    assert not {"depth", "width"} & recorded("model.hidden_sizes=[4]").keys()
    assert recorded("data.features=polynomial", "degree=3")["degree"] == 3


def test_options_that_the_model_does_not_read_are_omitted():
    assert not {"activation", "depth", "width"} & recorded("model=logistic", "depth=8").keys()
    assert recorded("hidden_sizes=[6,4]", "depth=8").keys() == MAIN - {"depth", "width"} | {"hidden_sizes"}


def test_a_run_records_the_main_options_and_their_values(shell, tmp_path):
    shell("train.py", *PLAIN, "data=blobs", "lr=0.25", "epochs=1", "hydra.run.dir=run", check=True)
    found = logged(tmp_path / "run")
    assert found.keys() - {"pictures"} == MAIN
    assert (found["lr"], found["optimizer"], found["width"]) == (0.25, "adam", 32)


@pytest.fixture
def stock(tmp_path):
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/stock.yaml").write_text("_target_: stock_modules.Logs\nhidden: 8\n")
    return [f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "data=blobs", "model=stock", "epochs=2"]


def test_a_users_module_records_its_own_hyperparameters_and_not_the_unused_optimizer(run, stock, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(*stock, "optimizer=sgd", "lr=5", "weight_decay=0.5", "+model.rate=0.3")
    found = logged(tmp_path / "run")
    assert (found["hidden"], found["rate"], found["val"]) == (8, 0.3, "val_loss")
    assert not {"lr", "weight_decay", "optimizer", "activation", "depth"} & found.keys()
    for option in ("optimizer=sgd", "lr=5", "weight_decay=0.5"):
        assert f"note: {option} has no effect: nothing in this run reads it (stock_modules.Logs)" in caplog.text


def test_options_of_hidden_layers_get_a_note_if_there_are_none(run, caplog):
    caplog.set_level(logging.INFO)
    run("data=blobs", "epochs=1", "hidden_sizes=[]", "activation=tanh", "dropout=0.5")
    for option in ("activation=tanh", "dropout=0.5"):
        assert f"note: {option} has no effect: hidden_sizes=[] means no hidden layers" in caplog.text
