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
from kindling.data.inputs import Inputs
from kindling.data.transforms import apply_transform
from kindling.models.base import Model
from kindling.models.predict import from_logits, logits_of
from kindling.training import load as saved

log = logging.getLogger("kindling")
TRAINING_ONLY = ("loss", "label_smoothing")  # hyperparameters that do not change a prediction


class Predictor:
    """Predicts the rows of a table with the best weights of a run.

    Args:
        folder: the run folder, wherever it is; the training data is not needed.
        trust: load its checkpoint even though that may run code.

    Attributes:
        columns: names of the inputs.
        model: the model, in evaluation mode on the CPU.

    Raises:
        UserError: there is no such run, it has no weights, or it is not a run of a table and one of Kindling's models.
    """

    def __init__(self, folder: str | Path, trust: bool = False):
        folder = Path(folder)
        cfg = to_dict(saved.config_of(folder), resolve=False)
        checkpoint = saved.load(saved.best_checkpoint(folder), trust)
        tables = [state for state in checkpoint.values() if isinstance(state, dict) and state.get("columns")]
        hyperparameters: dict[str, Any] = checkpoint.get("hyper_parameters", {})
        if not tables or "task" not in hyperparameters:
            raise UserError(
                f"{folder} cannot predict tables: it needs a data set with columns (data=csv, ...) and a model that "
                "inherits from kindling.models.base.Model."
            )
        self.transform: dict[str, Any] = tables[0]
        self.columns: list[str] = self.transform["columns"]
        options = cfg["data"]
        self.missing = as_list(options.get("missing"))
        self.missing_indicator = options.get("missing_indicator")
        self.zero_is_missing = as_list(options.get("zero_is_missing"))
        self.targets = [str(name) for name in as_list(options.get("target"))]
        kept = {name: value for name, value in hyperparameters.items() if name not in TRAINING_ONLY}
        self.model: Model = build({"_target_": cfg["model"]["_target_"], **kept})
        self.model.load_state_dict(checkpoint["state_dict"])
        self.model.eval()

    def __call__(self, source: CsvFile) -> pd.DataFrame:
        """Return the predictions for the rows of a table, in their order.

        Columns are matched by name. For classes the result has the predicted class and the probability of each class,
        for several labels 0 or 1 and the probability of each, for a regression the values in the target's unit.

        Raises:
            UserError: the table lacks a column, or a cell is not a number; with file, column and line.
        """
        logits = logits_of(self.model, apply_transform(self._read(source), self.transform))
        return self._table(from_logits(self.model.task, self.transform, logits).double().numpy())

    def _read(self, source: CsvFile) -> torch.Tensor:
        """Return the raw inputs (N, columns)."""
        header = source.header.names
        if absent := [name for name in self.columns if name not in header]:
            raise UserError(
                f"{source.path} lacks {listed(absent)}: the model was trained with the columns {listed(self.columns)}."
            )
        if extra := [name for name in header if name not in {*self.columns, *self.targets}]:
            log.info(f"{source.path} has columns that the model does not use: {listed(extra)}")
        zeros = resolve(self.zero_is_missing, "data.zero_is_missing", self.columns, path=source.path)
        encoding = self.transform.get("encoding", [])
        inputs = Inputs(self.columns, kinds_of(encoding), zeros, "median" if self.missing_indicator else "mean")
        return inputs.read(source, source.read(self.columns, list(inputs.kinds)), may_be_empty=True)

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
