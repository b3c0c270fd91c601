"""Predictions of a trained model for new tables, from its run folder alone."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from kindling import UserError
from kindling.data.preprocessing.encoding import kinds_of
from kindling.data.preprocessing.transforms import apply_transform, transform_block
from kindling.data.tables.columns import as_list, listed, resolve
from kindling.data.tables.csv_file import CsvFile
from kindling.data.tables.frame import Frame
from kindling.data.tables.inputs import Inputs
from kindling.models.base import Model
from kindling.models.probabilities import from_logits, logits_of
from kindling.training.prediction.saved_model import SavedModel

log = logging.getLogger("kindling")


class Predictor(SavedModel):
    """Predicts the rows of a table with the best weights of a run.

    Args:
        folder: the folder of a run, or of a sweep, whose best job is used; the training data is not needed.
        trust: load its checkpoint even though that may run code.

    Attributes:
        columns: names of the inputs.
        model: the model, in evaluation mode on the CPU.

    Raises:
        UserError: there is no such run, it has no weights, or it is not a run of a table and one of Kindling's models.
    """

    def __init__(self, folder: str | Path, trust: bool = False):
        super().__init__(folder, trust)
        self.columns: list[str] = self.transform["columns"]
        if not self.columns:
            raise UserError(f"{folder} was not trained on a table with columns (data=csv, ...).")
        self.missing = as_list(self.cfg["data"].get("missing"))

    def __call__(self, table: CsvFile | pd.DataFrame | np.ndarray | torch.Tensor) -> pd.DataFrame:
        """Return the predictions for the rows of a table, in their order.

        For classes the result has the predicted class and the probability of each class, for several labels 0 or 1 and
        the probability of each, for a regression the values in the target's unit.

        Args:
            table: a file from `open_csv`; a DataFrame, whose columns are matched by name; or an array (N, columns)
                with the columns in the order of `columns`.

        Raises:
            UserError: the table lacks a column, or a cell is not a number or date; with file, column and line.
        """
        return self.table(self.values(self.source(table)))

    def values(self, source: CsvFile) -> np.ndarray:
        """Return probabilities, or values in the target's unit, (N, num_outputs).

        Raises:
            UserError: see `__call__`.
        """
        raw, _ = self.read(source, [])
        logits = logits_of(self.model, apply_transform(raw, self.transform))
        return from_logits(self.model.task, self.transform, logits).double().numpy()

    def source(self, table: CsvFile | pd.DataFrame | np.ndarray | torch.Tensor) -> CsvFile:
        """Return a table as if it were a file.

        Raises:
            UserError: an array has another number of columns than the training data.
        """
        if isinstance(table, CsvFile):
            return table
        if not isinstance(table, pd.DataFrame):
            array = np.asarray(table)
            if array.ndim != 2 or array.shape[1] != len(self.columns):
                raise UserError(
                    f"the array has the shape {array.shape}, but the model needs (N, {len(self.columns)}), with the "
                    f"columns {listed(self.columns)}."
                )
            table = pd.DataFrame(array, columns=self.columns)
        kinds = kinds_of(self.transform.get("encoding", []))
        return Frame(table, self.missing, {name: column.format for name, column in kinds.items()})

    def read(self, source: CsvFile, targets: list[str]) -> tuple[torch.Tensor, pd.DataFrame]:
        """Return the raw inputs (N, columns) and the table, which has the columns `targets` as text.

        Raises:
            UserError: see `__call__`.
        """
        header = source.header.names
        if absent := [name for name in targets if name not in header]:
            raise UserError(
                f"{source.path} lacks the target {listed(absent)}: without it, use `python -m kindling predict`."
            )
        if absent := [name for name in self.columns if name not in header]:
            raise UserError(
                f"{source.path} has no column {listed(absent)}, which the model needs (its columns: "
                f"{listed(self.columns)}): add it; its cells may be empty."
            )
        if extra := [name for name in header if name not in {*self.columns, *self.targets}]:
            log.info(f"{source.path} has columns that the model does not use: {listed(extra)}")
        options = self.cfg["data"]
        zeros = resolve(as_list(options.get("zero_is_missing")), "data.zero_is_missing", self.columns, path=source.path)
        kinds = kinds_of(self.transform.get("encoding", []))
        inputs = Inputs(self.columns, kinds, zeros, "median" if options.get("missing_indicator") else "mean")
        frame = source.read([*self.columns, *targets], [*kinds, *targets])
        return inputs.read(source, frame, may_be_empty=True), frame


class RawRows(torch.nn.Module):
    """A model with its scaling: raw rows (N, columns) to probabilities, or values in the target's unit.

    Args:
        model: the model.
        transform: of its data set.
    """

    def __init__(self, model: Model, transform: dict[str, Any]):
        super().__init__()
        self.net, self.task, self.transform = model, model.task, transform

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return from_logits(self.task, self.transform, self.net(transform_block(rows, self.transform)))
