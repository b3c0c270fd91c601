"""A damaged or missing file of a run folder is an error that names the file, what is wrong, and what to do."""

import json
import zipfile

import pytest

from kindling import UserError
from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.read import (
    check_records,
    read_counts,
    read_hydra,
    read_json,
    read_overrides,
    read_result,
    read_table,
    read_yaml,
)

RESULT = {"status": "finished", "metrics": {"val/loss": 0.5, "val/auroc": None}, "command": "python train.py lr=1"}
COUNTS = "true,no,yes\nno,3,1\nyes,0,4\n"
# Content of a file that does not decode or parse, or is not of the right kind, for every format.
BROKEN = [b"", b"\0" * 50, b"\xff\xfe", b"{", b"- [", b"a: b: c", b"3", b"[]", b"text", b"a,b\n1\n", b"a,a\n1,2\n"]


def result_in(folder, **changes):
    (folder / "result.json").write_text(json.dumps({**RESULT, **changes}))
    return folder


@pytest.mark.parametrize("content", BROKEN)
def test_every_reader_rejects_what_is_not_its_format(tmp_path, content):
    (tmp_path / ".hydra").mkdir()
    paths = {name: tmp_path / name for name in ("result.json", "leaderboard.csv", "confusion_matrix.csv", "last.ckpt")}
    hydra = {name: tmp_path / ".hydra" / f"{name}.yaml" for name in ("config", "hydra", "overrides")}
    for path in (*paths.values(), *hydra.values()):
        path.write_bytes(content)
    with pytest.raises(Damaged, match=r"result\.json cannot be read"):
        read_result(tmp_path)
    with pytest.raises(Damaged, match=r"leaderboard\.csv cannot be read .* kindling leaderboard sweep="):
        read_table(paths["leaderboard.csv"], "folder")
    with pytest.raises(Damaged, match=r"confusion_matrix\.csv cannot be read .* train.py resume="):
        read_counts(paths["confusion_matrix.csv"])
    with pytest.raises(Damaged, match=r"last\.ckpt cannot be read .* cannot be resumed"):
        check_records(paths["last.ckpt"])
    with pytest.raises(Damaged, match=r"config\.yaml cannot be read"):
        read_yaml(hydra["config"])
    with pytest.raises(Damaged, match=r"hydra\.yaml cannot be read"):
        read_hydra(tmp_path)
    if content != b"[]":  # a run without overrides
        with pytest.raises(Damaged, match=r"overrides\.yaml cannot be read"):
            read_overrides(tmp_path)


def test_a_missing_file_is_named_too(tmp_path):
    with pytest.raises(UserError, match=r"jobs.json cannot be read \(it does not exist\): .* train.py resume="):
        read_json(tmp_path / "jobs.json")


def test_the_message_has_the_command_that_trains_again(tmp_path):
    result_in(tmp_path)
    with pytest.raises(Damaged, match=r"last\.ckpt cannot .* To train it again:  python train.py lr=1"):
        check_records(tmp_path / "checkpoints" / "last.ckpt")


def test_a_job_that_was_trained_in_a_group_is_trained_again_with_its_sweep(tmp_path):
    (tmp_path / "jobs.json").touch()
    with pytest.raises(Damaged, match=f"train this job again:  python train.py resume={tmp_path}$"):
        read_result(tmp_path / "job")


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"status": "finiqhed"}, "status"),
        ({"status": None}, "status"),
        ({"metrics": "none"}, "metrics"),
        ({"metrics": {"val/loss": "low"}}, "val/loss"),
        ({"epochs": "3"}, "epochs"),
        ({"score": []}, "score"),
    ],
)
def test_a_result_has_values_of_the_right_kind(tmp_path, changes, wrong):
    assert read_result(result_in(tmp_path)) == RESULT
    with pytest.raises(Damaged, match=f"it has no valid {wrong}"):
        read_result(result_in(tmp_path, **changes))


def test_a_result_has_the_keys_that_are_needed(tmp_path):
    with pytest.raises(Damaged, match=r"result.json cannot be read \(it has no best_epoch\)"):
        read_result(result_in(tmp_path), "metrics", "best_epoch")


@pytest.mark.parametrize(
    "text", [COUNTS[:-3], COUNTS.replace("4", "4.5"), COUNTS.replace("yes,0", "yet,0"), COUNTS.replace("no,3,1\n", "")]
)
def test_a_confusion_matrix_is_complete(tmp_path, text):
    file = tmp_path / "confusion_matrix.csv"
    file.write_text(COUNTS)
    assert read_counts(file) == (["no", "yes"], [[3, 1], [0, 4]])
    file.write_text(text)
    with pytest.raises(Damaged):
        read_counts(file)


def test_every_changed_bit_of_a_record_is_noticed(tmp_path):
    file, content = tmp_path / "best.ckpt", bytes(range(100))
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data", content)
    check_records(file)
    whole = file.read_bytes()
    start = whole.index(content)
    for place in range(start, start + 100):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(Damaged, match=r"Bad CRC|checksum of data is wrong"):
            check_records(file)
