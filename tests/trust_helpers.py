"""Checkpoints that would execute code when they are loaded, and runs with such checkpoints."""

import pytest
import torch
from conftest import compose_config
from omegaconf import OmegaConf
from stock_modules import Evil

from kindling import UserError

SMALL = ["data=blobs", "epochs=2", "depth=1", "width=4"]
REJECTION = r"contains more than plain data \(.*open\), so loading it could execute arbitrary code. .* add trust=true"


@pytest.fixture
def trained(run, tmp_path):
    """Return the folder of a run with weights but without test metrics, including Hydra's config."""
    run(*SMALL, "test=false")
    folder = tmp_path / "run"
    (folder / ".hydra").mkdir()
    OmegaConf.save(compose_config(*SMALL, "trainer=cpu", f"folder={folder}"), folder / ".hydra/config.yaml")
    OmegaConf.save(OmegaConf.create(SMALL), folder / ".hydra/overrides.yaml")
    OmegaConf.save(OmegaConf.create({"hydra": {"runtime": {"choices": {}}}}), folder / ".hydra/hydra.yaml")
    return folder


def poison(checkpoint, key="program"):
    """Put code into a checkpoint, and return the file that exists if the code was executed."""
    witness = checkpoint.with_name("witness")
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, key: Evil(witness)}, checkpoint)
    return witness


def rejects(witness, command, *arguments):
    with pytest.raises(UserError, match=REJECTION):
        command(*arguments)
    assert not witness.exists()


def linked(folder, name):
    """Replace a file of a folder by a link to a file elsewhere, and return that file."""
    victim = folder.parent / "victim"
    victim.write_text("untouched")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(victim)
    return victim
