"""A node that cannot be instantiated gives a one-line message; an exception in the user's code keeps its traceback."""

import importlib.util
import sys

import pytest
from omegaconf import OmegaConf

from kindling import UserError
from kindling.cli import build
from kindling.cli.build import reject_missing_packages

OWN = """
class Net:
    def __init__(self, hidden, depth=1):
        if hidden == 0:
            raise TypeError("hidden of 0 is a mistake in here")
        if hidden == 1:
            import no_such_package_at_all
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return own(target, **arguments), which instantiates a target with a user's module on the path."""
    (tmp_path / "own_net.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda target, **arguments: build.build(OmegaConf.create({"_target_": target, **arguments}))
    sys.modules.pop("own_net", None)


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("own_net.Nett", {"hidden": 3}, "own_net.Nett does not exist: own_net has no Nett. Did you mean Net?"),
        ("own_net.Net.sub", {"hidden": 3}, "own_net.Net.sub does not exist: own_net.Net has no sub."),
        ("kindling.training.stoping.Divergence", {}, "kindling.training has no stoping. Did you mean stopping?"),
        ("own_nett.Net", {"hidden": 3}, "own_nett.Net needs own_nett, which is not installed: pip install"),
        ("own_net.Net", {"hiden": 3}, "own_net.Net has no argument hiden. Did you mean hidden? Known: depth, hidden"),
        ("own_net.Net", {"depth": 3}, "own_net.Net needs a value for hidden"),
        ("own_net.Net", {"hidden": 1}, "own_net.Net needs no_such_package_at_all, which is not installed: pip install"),
        ("own_net.OWN", {}, "own_net.OWN does not exist"),
        ("sys.path", {}, "sys.path is a list, and only a class or function can be called"),
        ("kindling.models.mlp.Deep", {"input_shape": [2], "num_outputs": 1, "widht": 3}, "widht. Did you mean width?"),
        ("own_net.Net", {"hidden": {"_target_": "torch.optim.SGD", "_partial_": True, "rate": 1}}, "argument rate"),
    ],
)  # fmt: skip
def test_an_error_in_the_config_gives_a_one_line_message(own, target, arguments, message):
    with pytest.raises(UserError) as rejected:
        own(target, **arguments)
    assert message in str(rejected.value)
    assert "\n" not in str(rejected.value)


def test_an_exception_in_a_constructor_is_not_changed(own):
    with pytest.raises(TypeError, match="a mistake in here") as raised:
        own("own_net.Net", hidden=0)
    assert raised.traceback[-1].path.name == "own_net.py"
    assert own("own_net.Net", hidden=3)


def test_an_exception_during_the_import_of_a_module_is_not_changed(own, tmp_path):
    (tmp_path / "own_net.py").write_text("1 / 0", encoding="utf-8")
    with pytest.raises(ZeroDivisionError):
        own("own_net.Net", hidden=3)


def test_a_node_without_a_target_is_rejected():
    with pytest.raises(UserError, match="3 has no _target_"):
        build.build(3)


def test_building_does_not_change_the_config():
    cfg = OmegaConf.create(
        {"model": {"_target_": "builtins.dict", "optimizer": "${optimizer}"}, "optimizer": {"lr": "${lr}"}, "lr": 0.5}
    )
    assert build.build(cfg.model) == {"optimizer": {"lr": 0.5}}
    assert OmegaConf.to_container(cfg)["optimizer"] == {"lr": "${lr}"}


@pytest.mark.parametrize(
    ("target", "package"),
    [
        ("pytorch_lightning.callbacks.RichProgressBar", "rich"),
        ("pytorch_lightning.loggers.MLFlowLogger", "mlflow"),
        ("lightning.pytorch.loggers.WandbLogger", "wandb"),
        ("comet_ml.Experiment", "comet-ml"),
    ],
)
def test_a_missing_package_is_rejected_without_importing_anything(target, package, monkeypatch):
    installed = importlib.util.find_spec
    absent = package.replace("-", "_")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else installed(name) or name)
    before = set(sys.modules)
    with pytest.raises(UserError, match=rf"{target} needs .*, which is not installed: pip install {package}"):
        reject_missing_packages({"logger": [{"mine": {"_target_": target}}]})
    assert set(sys.modules) == before


def test_a_missing_accelerator_gives_a_one_line_message(own):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match=r"^trainer=gpu: no such device was found\. Remove it, or use trainer=cpu\.$"):
        own("pytorch_lightning.Trainer", accelerator="gpu", devices=1)
