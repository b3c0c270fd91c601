"""Checkpoints that would run a program when they are opened, and runs that have them."""

import pytest
import torch
from conftest import compose_config
from omegaconf import OmegaConf
from stock_modules import Evil

from kindling import UserError

SMALL = ["data=blobs", "epochs=2", "depth=1", "width=4"]
REFUSAL = r"holds more than plain data \(.*open\), so opening it could run any program. .* add trust=true"


@pytest.fixture
def trained(run, tmp_path):
    """A run's folder as the command line leaves it, with weights but no test metrics yet."""
    run(*SMALL, "test=false")
    folder = tmp_path / "run"
    (folder / ".hydra").mkdir()
    OmegaConf.save(compose_config(*SMALL, "trainer=cpu", f"folder={folder}"), folder / ".hydra/config.yaml")
    OmegaConf.save(OmegaConf.create(SMALL), folder / ".hydra/overrides.yaml")
    OmegaConf.save(OmegaConf.create({"hydra": {"runtime": {"choices": {}}}}), folder / ".hydra/hydra.yaml")
    return folder


def poison(checkpoint, place="program"):
    """Put a program into a checkpoint; it has run if the returned file is there."""
    witness = checkpoint.with_name("witness")
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, place: Evil(witness)}, checkpoint)
    return witness


def refuses(witness, command, *arguments):
    with pytest.raises(UserError, match=REFUSAL):
        command(*arguments)
    assert not witness.exists()
