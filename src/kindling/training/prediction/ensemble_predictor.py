"""Predictions of an ensemble of runs for new tables, from their folders alone."""

import logging
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from kindling.cli.folders.damaged import Damaged
from kindling.cli.folders.read import read_json
from kindling.data.tables.csv_file import CsvFile
from kindling.files import child
from kindling.training.prediction.predictor import Predictor

log = logging.getLogger("kindling")
FILE = "ensemble.json"


class EnsemblePredictor:
    """Predicts the rows of a table with the weighted mean of the predictions of several runs.

    Args:
        folder: the folder of a sweep with an ensemble.json, whose "weights" name its runs.
        trust: load their checkpoints even though that may run code.

    Attributes:
        folder: the sweep's folder.
        members: pairs of a weight and a run's predictor; the weights add up to 1.

    Raises:
        UserError: there is no ensemble.json, or a run cannot predict tables.
    """

    def __init__(self, folder: str | Path, trust: bool = False):
        self.folder = Path(folder)
        file = self.folder / FILE
        weights = read_json(file, weights=dict)["weights"]
        odd = [name for name, weight in weights.items() if not isinstance(weight, float)]
        if odd or not math.isclose(sum(weights.values()), 1):
            raise Damaged(file, "its weights do not add up to 1")
        folders = {name: child(self.folder, name, file) for name in weights}
        if lost := [name for name, folder in folders.items() if not folder.is_dir()]:
            raise Damaged(file, f"there is no folder {lost[0]}")
        self.members = [(weight, Predictor(folders[name], trust)) for name, weight in weights.items()]

    @property
    def missing(self) -> list:
        """Texts and numbers that mark a missing value."""
        return self.members[0][1].missing

    def __call__(self, table: CsvFile | pd.DataFrame | np.ndarray | torch.Tensor) -> pd.DataFrame:
        """Return the predictions for the rows of a table, in their order, in the form of `Predictor`.

        Raises:
            UserError: see `Predictor`.
        """
        (weight, first), *others = self.members
        source = first.source(table)
        total = weight * first.values(source)
        level = log.level
        log.setLevel(logging.WARNING)  # the others would repeat what the first one says about the table
        try:
            for weight, member in others:
                total = total + weight * member.values(source)
        finally:
            log.setLevel(level)
        return first.table(total)
