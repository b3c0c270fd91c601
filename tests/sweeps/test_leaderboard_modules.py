"""The leaderboard of a sweep over a user's own module."""

import csv
import os

import pytest
from conftest import PROJECT


@pytest.mark.slow
def test_a_sweep_of_a_users_module_is_ranked_by_what_it_logs(shell, tmp_path):
    folder = tmp_path / "conf" / "model"
    folder.mkdir(parents=True)
    (folder / "stock.yaml").write_text("_target_: stock_modules.Logs\nrate: 0.1\n")
    own = ["--config-dir", str(folder.parent), "data=blobs", "model=stock", "epochs=2", "hydra.launcher.workers=0"]
    done = shell(
        "train.py", "-m", *own, "model.rate=0.0001,0.5", env=os.environ | {"PYTHONPATH": str(PROJECT / "tests")}
    )
    assert done.returncode == 0, done.stderr
    (sweep,) = (tmp_path / "runs/sweeps").iterdir()
    first, second = csv.DictReader((sweep / "leaderboard.csv").open(encoding="utf-8"))
    assert (first["model.rate"], second["model.rate"]) == ("0.5", "0.0001")
    assert 0 < float(first["val_loss"]) < float(second["val_loss"])
    assert "winner on the test samples: loss 0." in done.stdout
