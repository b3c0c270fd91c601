"""A trained model, built from its run folder alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from kindling import UserError
from kindling.cli.build import build
from kindling.cli.folders.foreign import reject_foreign_targets
from kindling.cli.plain import to_dict
from kindling.models.base import Model
from kindling.models.probabilities import divide_logits
from kindling.tasks.quantiles import quantile_names
from kindling.training.checkpoint_files import load_best
from kindling.training.run_folder import config_of, winner

TRAINING_ONLY = ("loss", "label_smoothing")  # hyperparameters that do not change a prediction


class SavedModel:
    """The best weights of a run, with what is needed to use them.

    Args:
        folder: the folder of a run, or of a sweep, whose best job is used; the training data is not needed.
        trust: load its checkpoint even though that may run code.

    Attributes:
        model: the model, in evaluation mode on the CPU.
        temperature: by which the model divides its logits; 1 unless it was trained with calibrate=true.
        transform: of the inputs and targets.
        targets: names of the target columns; may be empty.

    Raises:
        UserError: there is no such run, it has no weights, or not one of Kindling's data sets and models.
    """

    def __init__(self, folder: str | Path, trust: bool = False):
        self.folder, self.trust = winner(Path(folder)), trust
        self.cfg = to_dict(config_of(self.folder, trust), resolve=False)
        checkpoint = load_best(self.folder, trust)
        dicts = [state for state in checkpoint.values() if isinstance(state, dict)]
        states = [state for state in dicts if {"columns", "factor"} <= state.keys()]
        self.hyperparameters: dict[str, Any] = checkpoint.get("hyper_parameters", {})
        if not states or "task" not in self.hyperparameters:
            raise UserError(
                f"{folder} cannot predict: that needs a data set and a model that inherit from "
                "kindling.data.base.Data and kindling.models.base.Model."
            )
        self.transform: dict[str, Any] = states[0]
        self.targets: list[str] = self.transform.get("targets", [])
        self.weights, self.temperature = checkpoint["state_dict"], float(checkpoint.get("temperature", 1.0))
        self.model = self.build(TRAINING_ONLY)

    def build(self, without: tuple[str, ...] = ()) -> Model:
        """Return the model with the best weights, in evaluation mode, built without some of its hyperparameters."""
        kept = {name: value for name, value in self.hyperparameters.items() if name not in without}
        node = {"_target_": self.cfg["model"]["_target_"], **kept}
        reject_foreign_targets(node, self.folder, self.trust)  # hyperparameters come from the checkpoint
        model: Model = build(node)
        model.load_state_dict(self.weights)
        if self.temperature != 1:
            divide_logits(model, self.temperature)
        return model.eval()

    def table(self, found: np.ndarray) -> pd.DataFrame:
        """Return a table of probabilities or values (N, num_outputs)."""
        task, names = self.model.task.name, list(self.model.hparams["class_names"])
        if task == "regression":
            number = self.model.task.preds(torch.from_numpy(found)).shape[1]
            targets = self.targets if len(self.targets) == number else [str(i) for i in range(1, number + 1)]
            columns = ["prediction"] if number == 1 else [f"prediction {name}" for name in targets]
            return pd.DataFrame(found, columns=[*columns, *quantile_names(self.model.task, targets)])
        if task == "multilabel":
            labels = {name: (found[:, i] > 0.5).astype(int) for i, name in enumerate(names)}
            return pd.DataFrame({**labels, **{f"probability {name}": found[:, i] for i, name in enumerate(names)}})
        shares = np.column_stack([1 - found, found]) if task == "binary" else found
        classes = np.array(names, dtype=object)[shares.argmax(1)]
        probabilities = {f"probability {name}": shares[:, i] for i, name in enumerate(names)}
        return pd.DataFrame({"prediction": classes, **probabilities})
