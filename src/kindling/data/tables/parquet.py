"""Parquet files, which are converted to CSV, so that they are read by the same code."""

import atexit
import tempfile
from pathlib import Path

import pandas as pd

from kindling import UserError


def to_csv(file: Path, path: str) -> Path:
    """Return a temporary CSV, which exists until the program ends, with the columns of a Parquet file.

    Raises:
        UserError: no package that reads Parquet is installed, or the file is damaged.
    """
    try:
        table = pd.read_parquet(file)
    except ImportError as error:
        raise UserError(f'{path} needs pyarrow: install it with `pip install -e ".[parquet]"`.') from error
    except (OSError, ValueError) as error:  # pyarrow's errors inherit from ValueError
        raise UserError(f"{path} is not a valid Parquet file: {error}") from error
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    converted = Path(folder.name) / f"{file.stem}.csv"
    table.to_csv(converted, index=table.index.name is not None)
    return converted
