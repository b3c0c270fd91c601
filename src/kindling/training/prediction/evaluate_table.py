"""Evaluation of a run's best weights on the rows of a new table, from the run folder alone."""

from pathlib import Path

import pytorch_lightning as pl

from kindling import UserError
from kindling.cli.build import build
from kindling.data.base import Data
from kindling.data.examples import Examples
from kindling.data.preprocessing.encoding import kinds_of
from kindling.data.preprocessing.transforms import apply_transform, scale_targets
from kindling.data.tables.csv_file import open_csv
from kindling.data.tables.labels import Labels, read_targets
from kindling.files import reject_links, write_json
from kindling.training.prediction.predictor import Predictor
from kindling.training.quiet import silence
from kindling.training.result import test_metrics
from kindling.training.run_folder import config_of


class TestRows(Data):
    """The rows of a table as test samples, transformed as in training; without other samples."""

    def __init__(self, predictor: Predictor, path: str):
        super().__init__(val_share=0.0, test_share=0.0)
        task, names = predictor.model.task.name, list(predictor.model.hparams["class_names"])
        source = open_csv(path, predictor.missing, option="input")
        classes = predictor.transform["class_values"] if task in ("binary", "multiclass") else []
        raw, frame = predictor.read(source, predictor.targets)
        labels = Labels(classes) if classes else None
        y = read_targets(source, frame, predictor.targets, labels=labels, task=task, class_names=names)
        self.transform, kinds = predictor.transform, kinds_of(predictor.transform.get("encoding", []))
        self.examples = Examples(
            raw, y, task, names, predictor.columns, kinds=kinds, targets=predictor.targets, class_values=classes
        )
        x = apply_transform(raw, self.transform)
        samples = {"train": (x[:0], y[:0]), "val": (x[:0], y[:0]), "test": (x, y)}
        self.samples = scale_targets(samples, self.transform) if task == "regression" else samples

    def load(self) -> Examples:
        return self.examples


def evaluate_table(run: Path, path: str, output: Path | None = None, trust: bool = False) -> tuple[Path, dict]:
    """Write the metrics, the confusion matrix and the pictures of a table's predictions.

    Args:
        run: the folder of a run or sweep.
        path: a file with the columns of the training data, including the target.
        output: a folder that does not exist; None: "evaluate-<name of the file>" in the run's folder.
        trust: load the checkpoint even though that may run code.

    Returns:
        The folder and the metrics.

    Raises:
        UserError: there is no such run, the file cannot be read, or the folder exists.
    """
    silence()
    predictor = Predictor(run, trust)
    data = TestRows(predictor, path)
    place = output or predictor.folder / f"evaluate-{Path(path).name.partition('.')[0]}"
    if not output:
        reject_links(predictor.folder)
    if place.exists():
        raise UserError(f"{place} exists already: choose another folder with output=..., or delete it.")
    cfg = config_of(predictor.folder, trust)
    cfg.folder = str(place)
    model = predictor.build()
    nodes = cfg.get("callbacks", {})
    callbacks = [build(nodes.confusion)] if nodes.get("confusion") else []
    callbacks += [build(nodes.pictures, test_only=True)] if nodes.get("pictures") else []
    place.mkdir(parents=True)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=callbacks,
    )  # fmt: skip
    trainer.test(model, datamodule=data, verbose=False)
    metrics = test_metrics(trainer.callback_metrics)
    write_json(place / "metrics.json", {"run": str(predictor.folder), "input": path, "metrics": metrics})
    return place, metrics
