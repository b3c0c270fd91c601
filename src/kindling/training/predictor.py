"""Predictions of a trained model for new tables, from its run folder alone."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from kindling import UserError
from kindling.cli.build import build
from kindling.cli.plain import to_dict
from kindling.data.columns import as_list, listed, resolve
from kindling.data.csv_file import CsvFile
from kindling.data.encoding import kinds_of
from kindling.data.frame import Frame
from kindling.data.inputs import Inputs
from kindling.data.transforms import apply_transform, transform_block
from kindling.models.base import Model
from kindling.models.predict import from_logits, logits_of
from kindling.training import load as saved

log = logging.getLogger("kindling")
TRAINING_ONLY = ("loss", "label_smoothing")  # hyperparameters that do not change a prediction


class Predictor:
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
        self.folder = saved.winner(Path(folder))
        self.cfg = to_dict(saved.config_of(self.folder), resolve=False)
        checkpoint = saved.load(saved.best_checkpoint(self.folder), trust)
        tables = [state for state in checkpoint.values() if isinstance(state, dict) and state.get("columns")]
        self.hyperparameters: dict[str, Any] = checkpoint.get("hyper_parameters", {})
        if not tables or "task" not in self.hyperparameters:
            raise UserError(
                f"{folder} cannot predict tables: it needs a data set with columns (data=csv, ...) and a model that "
                "inherits from kindling.models.base.Model."
            )
        self.transform: dict[str, Any] = tables[0]
        self.columns: list[str] = self.transform["columns"]
        self.targets: list[str] = self.transform.get("targets", [])
        self.missing = as_list(self.cfg["data"].get("missing"))
        self.weights = checkpoint["state_dict"]
        self.model = self.build(TRAINING_ONLY)

    def build(self, without: tuple[str, ...] = ()) -> Model:
        """Return the model with the best weights, in evaluation mode, built without some of its hyperparameters."""
        kept = {name: value for name, value in self.hyperparameters.items() if name not in without}
        model: Model = build({"_target_": self.cfg["model"]["_target_"], **kept})
        model.load_state_dict(self.weights)
        return model.eval()

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
        source = self.source(table)
        raw, _ = self.read(source, [])
        logits = logits_of(self.model, apply_transform(raw, self.transform))
        return self._table(from_logits(self.model.task, self.transform, logits).double().numpy())

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
                f"{source.path} lacks {listed(absent)}: the model was trained with the columns {listed(self.columns)}."
            )
        if extra := [name for name in header if name not in {*self.columns, *self.targets}]:
            log.info(f"{source.path} has columns that the model does not use: {listed(extra)}")
        options = self.cfg["data"]
        zeros = resolve(as_list(options.get("zero_is_missing")), "data.zero_is_missing", self.columns, path=source.path)
        kinds = kinds_of(self.transform.get("encoding", []))
        inputs = Inputs(self.columns, kinds, zeros, "median" if options.get("missing_indicator") else "mean")
        frame = source.read([*self.columns, *targets], [*kinds, *targets])
        return inputs.read(source, frame, may_be_empty=True), frame

    def _table(self, found: np.ndarray) -> pd.DataFrame:
        """Return a table of probabilities or values (N, num_outputs)."""
        task, names = self.model.task.name, list(self.model.hparams["class_names"])
        if task == "regression":
            several = self.targets if len(self.targets) == found.shape[1] else range(1, found.shape[1] + 1)
            columns = ["prediction"] if found.shape[1] == 1 else [f"prediction {name}" for name in several]
            return pd.DataFrame(found, columns=columns)
        if task == "multilabel":
            labels = {name: (found[:, i] > 0.5).astype(int) for i, name in enumerate(names)}
            return pd.DataFrame({**labels, **{f"probability {name}": found[:, i] for i, name in enumerate(names)}})
        shares = np.column_stack([1 - found, found]) if task == "binary" else found
        classes = np.array(names, dtype=object)[shares.argmax(1)]
        probabilities = {f"probability {name}": shares[:, i] for i, name in enumerate(names)}
        return pd.DataFrame({"prediction": classes, **probabilities})


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
