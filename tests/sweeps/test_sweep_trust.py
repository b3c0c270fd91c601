"""A resumed sweep does not execute anything in its group's checkpoint."""

import pytest
from sweeps.sweep_helpers import trained_together
from trust_helpers import REJECTION, SMALL, poison

from kindling import UserError


def test_a_resumed_sweep_does_not_execute_the_contents_of_its_groups_checkpoint(tmp_path, monkeypatch):
    from kindling.sweeps.grouped import train as group

    batch = [[*SMALL, f"seed={seed}"] for seed in (0, 1)]

    def stops(self, trainer, whole=group.GroupCheckpoint.save):
        whole(self, trainer)
        raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(group.GroupCheckpoint, "save", stops)
        with pytest.raises(RuntimeError, match="stopped"):
            trained_together(tmp_path, batch)
    (checkpoint,) = (tmp_path / "groups").glob("*.ckpt")
    witness = poison(checkpoint, "program")
    with pytest.raises(UserError, match=REJECTION):
        trained_together(tmp_path, batch)
    assert not witness.exists()
