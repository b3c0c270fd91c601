"""Compressed files and Parquet files are read like the CSV with the same table."""

import gzip

import pandas as pd
import pytest
import torch

from kindling import UserError
from kindling.data.tables.table import Table


def loaded(path):
    return Table(str(path), "sold").load()


def test_a_gzipped_file_is_read_like_a_plain_one(tmp_path):
    text = "a;sold\n1,5;0\n2,25;1\n"
    (tmp_path / "t.csv").write_text(text)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert torch.equal(loaded(tmp_path / "t.csv").x, loaded(tmp_path / "t.csv.gz").x)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(text.encode())[:-9])
    with pytest.raises(UserError, match=r"cut\.csv\.gz cannot be read: "):
        loaded(tmp_path / "cut.csv.gz")


def test_a_gzipped_file_that_would_fill_the_memory_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr("kindling.files.MANY_BYTES", 10_000_000)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,sold\n" + b"1,0\n" * 5_000_000))
    with pytest.raises(UserError, match=r"t\.csv\.gz is over 200 times larger when unpacked"):
        loaded(tmp_path / "t.csv.gz")


def test_a_parquet_file_is_read_like_the_csv_of_its_columns(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table = pd.DataFrame({
        "a": [1.5, None, 3.0, 4.0], "town": pd.Categorical(["x", "y", "x", "z"]), "n": [1, 2, 4, 3],
        "day": pd.to_datetime(["2020-01-01", "2020-02-01", None, "2021-01-01"]), "sold": [0, 1, 1, 0],
    })  # fmt: skip
    table.to_parquet(tmp_path / "t.parquet")
    table.to_csv(tmp_path / "t.csv", index=False)
    one, other = (loaded(tmp_path / name) for name in ("t.parquet", "t.csv"))
    assert one.kinds.keys() == {"town", "day"} == other.kinds.keys()
    torch.testing.assert_close(one.x, other.x, equal_nan=True)


def test_a_damaged_or_unreadable_parquet_file_is_rejected(tmp_path):
    (tmp_path / "t.parquet").write_text("text")
    with pytest.raises(UserError, match=r"t\.parquet (is not a valid Parquet file|needs pyarrow)"):
        loaded(tmp_path / "t.parquet")
