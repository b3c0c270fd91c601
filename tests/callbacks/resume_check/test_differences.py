"""Two folders of results are equal, or the first difference of every file is named."""

import json

import numpy as np
import pytest
import torch
from matplotlib.image import imread, imsave

from kindling.callbacks.resume_check.differences import differences


@pytest.fixture
def folders(run, tmp_path):
    """Return the folders of two equal runs."""
    for name in ("one", "other"):
        run("data=blobs", "epochs=2", "logger=tensorboard", folder=name)
    return tmp_path / "one", tmp_path / "other"


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_folders_of_equal_runs_have_no_differences_even_if_times_and_logs_differ(folders):
    one, other = folders
    result = json.loads((other / "result.json").read_text(encoding="utf-8"))
    (other / "result.json").write_text(json.dumps(result | {"seconds": 9.0}), encoding="utf-8")
    (other / "train.log").write_text("other")
    assert list(differences(one, other)) == []


def test_the_first_tensor_that_differs_is_named(folders):
    one, other = folders
    file = other / "checkpoints" / "last.ckpt"
    state = torch.load(file, weights_only=True)
    name = next(iter(state["state_dict"]))
    state["state_dict"][name].view(-1)[0] += 1e-7
    torch.save(state, file)
    assert [line.partition(" is ")[0] for line in differences(one, other)] == [
        f"checkpoints/last.ckpt: state_dict.{name}"
    ]


def test_values_rows_pictures_records_and_missing_files_are_named(folders):
    one, other = folders
    imsave(one / "picture.png", np.zeros((4, 4, 3)))
    pixels = imread(one / "picture.png")[..., :3].copy()
    pixels[2, 3, 1] = 1
    imsave(other / "picture.png", pixels)
    (other / "checkpoints" / "best.ckpt").unlink()
    (other / "left.part").touch()
    result = json.loads((other / "result.json").read_text(encoding="utf-8"))
    result["metrics"]["val/loss"] += 1e-6
    (other / "result.json").write_text(json.dumps(result), encoding="utf-8")
    replace(other / "metrics.csv", "\n2,", "\n3,")
    for file in other.glob("events*"):
        file.unlink()
    found = {line.partition(": ")[0]: line.partition(": ")[2] for line in differences(one, other)}
    assert found["metrics.csv"] == "row[2][0] is '3' instead of '2'"
    assert found["result.json"].startswith("metrics.val/loss is ")
    assert found["picture.png"] == "the pictures differ"
    assert found["checkpoints/best.ckpt"] == "missing"
    assert found["left.part"] == "only the resumed run has it"
    assert found["events"].startswith("record[0] is None instead of ")
    assert len(found) == 6
