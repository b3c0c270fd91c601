"""CSV files of various formats are read correctly, or rejected with a message that explains how to fix them."""

import os
import tempfile
from pathlib import Path

import pandas as pd
import pytest
import torch

from kindling import UserError
from kindling.data.tables.table import Table

ROWS = [(0.5, -1.25, "no"), (1.5, 2.0, "yes"), (2.5, 0.0, "no"), (3.5, -4.0, "yes")]
GOOD = "a,b,sold\n" + "".join(f"{a},{b},{sold}\n" for a, b, sold in ROWS)


def loaded(path, **arguments):
    return Table(str(path), **{"target": "sold"} | arguments).load()


# format -> content of the file, with the same table
SAME = {
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "semicolons": GOOD.replace(",", ";").encode(),
    "tabs": GOOD.replace(",", "\t").encode(),
    "decimal commas": GOOD.replace(",", ";").replace(".", ",").encode(),
    "quoted names and cells": b'"a","b","sold"\n' + "".join(f'"{a}","{b}","{s}"\n' for a, b, s in ROWS).encode(),
    "Windows line ends": GOOD.replace("\n", "\r\n").encode(),
    "empty lines": GOOD.replace("\n", "\n\n").encode(),
    "the target in the middle": ("a,sold,b\n" + "".join(f"{a},{s},{b}\n" for a, b, s in ROWS)).encode(),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME)
def test_the_same_table_is_read_from_every_format(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    examples = loaded(tmp_path / "t.csv")
    assert examples.x.tolist() == [[a, b] for a, b, _ in ROWS]
    assert (examples.columns, examples.class_names, examples.task) == (["a", "b"], ["no", "yes"], "binary")
    assert examples.y[:, 0].tolist() == [0, 1, 0, 1]


def test_latin_1_files_are_read_and_logged(tmp_path, caplog):
    (tmp_path / "t.csv").write_bytes("größe,b,sold\n1,2,früh\n2,1,spät\n".encode("latin-1"))
    with caplog.at_level("INFO", "kindling"):
        examples = loaded(tmp_path / "t.csv")
    assert (examples.columns, examples.class_names) == (["größe", "b"], ["früh", "spät"])
    assert "is not UTF-8, so it is read as Latin-1" in caplog.text


def test_empty_cells_of_inputs_are_missing_and_constant_columns_are_left_out(tmp_path, caplog):
    (tmp_path / "t.csv").write_text("a,b,sold\n1,7,0\n,7,1\n3,7,0\nNaN,7,1\n")
    with caplog.at_level("INFO"):
        examples = loaded(tmp_path / "t.csv")
    assert examples.x[:, 0].isnan().tolist() == [False, True, False, True]
    assert examples.columns == ["a"]
    assert "column 'b' is not used: it has the same value in every row" in caplog.text
    data = Table(str(tmp_path / "t.csv"), "sold", kinds={"b": "number"}, val_share=0.0, test_share=0.0)
    data.setup()
    assert data.samples["train"][0][:, 1].tolist() == [0.0] * 4  # constant, without effect
    assert sorted(data.samples["train"][0][:, 0].tolist())[1:3] == [0.0, 0.0]  # the mean of 1 and 3


def test_three_samples_are_all_used_for_training(tmp_path):
    (tmp_path / "t.csv").write_text("a,sold\n1,0\n2,1\n3,0\n")
    data = Table(str(tmp_path / "t.csv"), "sold")
    data.setup()
    assert [len(y) for _, y in data.samples.values()] == [3, 0, 0]


BAD = {
    "no such column": (b"a,b\n1,2\n", "has no column 'sold'; its columns: a, b"),
    "an empty file": (b"", "is empty: expected a CSV with a header line and rows"),
    "blanks only": (b" \n\n", "is empty"),
    "a header only": (b"a,sold\n", "has a header but no rows"),
    "no header": (b"1,2,0\n3,4,1\n", r"begins with numbers \(1, 2, 0\): its first line must name the columns"),
    "text among numbers": (b"a,sold\n1,0\n\nx3,1\n", "has text in column 'a', line 4: 'x3'"),
    "infinity": (b"a,sold\n1,0\ninf,1\n", "has an infinite value in column 'a', line 3"),
    "nothing but an empty column": (b"b,sold\n,0\n,1\n", r"has no usable input columns \('b': it has no values\)"),
    "one class": (b"a,sold\n1,yes\n2,yes\n", "needs 2 classes or more in sold, but .* has 1: yes"),
    "one number as target": (b"a,sold\n1,4\n2,4\n", "needs 2 classes in sold, but .* has 1: 4"),
    "a double name": (b"a,a,sold\n1,2,0\n", "has two columns 'a'"),
    "a nameless column": (b"a,,sold\n0,1,0\n1,2,1\n", "has no name for column 2 in its first line"),
    "a longer line": (b"a,sold\n1,0\n2,1,5\n", "has 3 fields in line 3, 2 in the first"),
    "all lines longer": (b"a,sold\n1,0,5\n2,1,5\n", "has 3 fields in line 2, 2 in the first"),
    "a target without a value": (b"a,sold\n1,0\n2,\n", "has no value in the target 'sold', line 3"),
    "only the target": (b"sold\n1\n2\n", "has no column besides sold, so there are no inputs. Are its"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "is a binary file"),
    "10,000 names": (
        ("a,sold\n" + "".join(f"{i},name {i}\n" for i in range(10_000))).encode(),
        "has 10000 distinct texts in the target 'sold', in 10000 rows: names rather than classes",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_an_invalid_file_is_rejected_with_file_column_and_line(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        loaded(tmp_path / "t.csv")
    assert str(caught.value).startswith((str(tmp_path / "t.csv"), "task="))


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(UserError, match="is a folder: give the path of a file"):
        loaded(tmp_path)
    with pytest.raises(UserError, match=r"nowhere\.csv: no such file in"):
        loaded("nowhere.csv")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
def test_a_file_without_permission_is_named():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folder is closed to others
        Path(folder).chmod(0o755)
        path = Path(folder) / "t.csv"
        path.write_text(GOOD)
        path.chmod(0)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)  # root may read everything
            with pytest.raises(UserError, match="cannot be read: Permission denied"):
                loaded(path)
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["no", "yes"] * 20, "binary"),
        ([True, False] * 20, "binary"),
        ([0, 1] * 20, "binary"),
        ([1.0, 2.0] * 20, "binary"),
        (["a", "b", "c"] * 20, "multiclass"),
        ([0, 1, 2] * 20, "multiclass"),
        (list(range(60)), "regression"),
        ([0, 1, 2] * 3, "regression"),
        ([0.5, 1.5, 2.5] * 20, "regression"),
    ],
)
def test_the_task_is_inferred_from_the_target_and_logged(tmp_path, caplog, values, task):
    pd.DataFrame({"a": range(len(values)), "sold": values}).to_csv(tmp_path / "t.csv", index=False)
    with caplog.at_level("INFO", "kindling"):
        assert loaded(tmp_path / "t.csv", target=None).task == task
    assert "data.target=sold, the last column" in caplog.text
    assert f"data.task={task}, because sold is" in caplog.text


def test_several_targets_are_multilabel_or_regression(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c,d\n1,0,1,2\n2,1,0,3\n3,1,1,4\n")
    assert loaded(tmp_path / "t.csv", target=["b", "c"]).task == "multilabel"
    assert loaded(tmp_path / "t.csv", target=["b", "d"]).task == "regression"


def test_a_class_that_only_the_test_file_has_is_named(tmp_path):
    (tmp_path / "t.csv").write_text(GOOD)
    (tmp_path / "test.csv").write_text("a,b,sold\n1,2,maybe\n")
    with pytest.raises(UserError, match="has 'maybe' in the target 'sold', line 2: the training data has no such"):
        loaded(tmp_path / "t.csv", test_path=str(tmp_path / "test.csv"))


def test_dropped_columns_are_not_inputs(tmp_path):
    (tmp_path / "t.csv").write_text("name,a,sold\nx,1,0\ny,2,1\n")
    assert loaded(tmp_path / "t.csv", drop=["name"]).columns == ["a"]
    with pytest.raises(UserError, match="has no column 'nam'"):
        loaded(tmp_path / "t.csv", drop=["nam"])


def test_a_users_csv_trains_from_the_command_line(shell, tmp_path):
    rows = "".join(f"{i % 7},{i % 5},{'big' if i % 7 + i % 5 > 5 else 'small'}\n" for i in range(200))
    (tmp_path / "own.csv").write_text("a,b,size\n" + rows)
    done = shell("train.py", "data=csv", "data.path=own.csv", "data.target=size", "trainer=cpu")
    assert done.returncode == 0, done.stderr
    assert "data.task=binary, because size is text with 2 values" in done.stdout
    torch.testing.assert_close(float(done.stdout.split("accuracy")[1].split()[2]), 1.0, atol=0.1, rtol=0)


def test_an_invalid_csv_ends_with_one_message_and_exit_code_2(shell, tmp_path):
    (tmp_path / "own.csv").write_text("a,size\n1,2\nx,3\n")
    done = shell("train.py", "data=csv", "data.path=own.csv", "trainer=cpu")
    assert done.returncode == 2
    output = done.stdout + done.stderr
    assert output.count("own.csv has text in column 'a', line 3: 'x'") == 1
    assert "Traceback" not in output
    assert not list(tmp_path.glob("runs/*/*"))


def test_columns_of_a_large_offset_keep_their_digits(tmp_path):
    """For example Unix times, for which neighboring float32 numbers differ by 128 s."""
    start = 1_700_000_000
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{start + i},{start + 3 * i}\n" for i in range(100)))
    data = Table(str(tmp_path / "t.csv"), task="regression", val_share=0.0, test_share=0.0)
    data.setup()
    x, y = data.samples["train"]
    assert len(x.unique()) == len(y.unique()) == 100
    assert data.transform["target_std"] == pytest.approx([3 * (100**2 - 1) ** 0.5 / 12**0.5])
    torch.testing.assert_close(x, y)


def test_an_invalid_split_or_task_is_rejected(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1,0,1\n2,1,2\n")
    with pytest.raises(UserError, match="must be at least 0 and less than 1 in total"):
        Table(str(tmp_path / "t.csv"), val_share=0.6, test_share=0.6)
    with pytest.raises(UserError, match=r"data.task=regresion is unknown: choose auto, binary"):
        Table(str(tmp_path / "t.csv"), task="regresion")
    with pytest.raises(UserError, match="has 2 in the label 'c', line 3: task=multilabel needs 0 or 1"):
        loaded(tmp_path / "t.csv", target=["b", "c"], task="multilabel")
