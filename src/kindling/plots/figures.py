"""The figures of a model and its data."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kindling.data.base import Data
from kindling.models.base import Model
from kindling.models.probabilities import from_logits, logits_of, of_logits
from kindling.plots import data_card, images, predictions, surface
from kindling.plots import loss_path as path
from kindling.plots.style import style
from kindling.tasks.tasks import TASKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawings = Iterator[tuple[str, Callable[[], "Figure | None"]]]
STAGES = {"train": "training samples", "val": "validation samples", "test": "test samples"}


def model_figures(
    model: Model,
    data: Data,
    title: str,
    training_path: list[list[float]] | None = None,
    columns: tuple[str, str] | None = None,
) -> Drawings:
    """Yield (tag, function that draws or returns None) for figures of the model that do not depend on samples.

    They are drawn by separate functions, so that one that fails does not affect the others.

    Args:
        training_path: both weights of a model that has only two, initially and after each epoch.
        columns: two columns of a table with more columns, for the surface.
    """
    with style():
        if data.examples.x.dim() == 2:
            grid = surface.plane(data, columns)
            if grid is not None:
                yield "surface", partial(surface.draw_surface, model, data, grid, title=title)
                if data.examples.task == "regression":
                    yield "plane", partial(surface.draw_plane, model, data, grid, title=title)
                yield "neurons", partial(surface.draw_neurons, model, data, grid, title=title)
            if data.examples.x.shape[1] == 1 and data.examples.task in ("regression", "binary"):
                yield "curve", partial(surface.draw_curve, model, data, title)
        else:
            maps = images.first_filters(model, list(data.examples.x.shape[1:]))
            if maps is not None:
                yield "filters", partial(images.draw_filters, maps, f"weights of the first layer, {title}")
        if training_path and path.two_parameters(model):
            yield "path", partial(path.draw_path, model, data, training_path, title=title)


def stage_predictions(model: Model, data: Data, stage: str) -> Tensor:
    """Return the predictions (N, num_outputs) for a stage's samples: probabilities, or values in the target's unit."""
    loader = data.loader(stage, 1000)
    loader.rank, loader.world_size = 0, 1  # all samples, even if several processes train
    logits = torch.cat([logits_of(model, x) for x, *_ in loader])
    return of_logits(data, logits)


def sample_figures(data: Data, stage: str, preds: Tensor) -> Drawings:
    """Yield (tag, function that draws) for the table and the predictions of a stage's samples.

    Args:
        preds: from `stage_predictions`.
    """
    x, y = data.samples[stage]
    title = f"{STAGES[stage]}, best weights"
    with style():
        if data.examples.x.dim() == 2:
            yield "data", partial(data_card.draw_data, data)
        if data.examples.task == "regression":
            true = from_logits(TASKS["regression"], data.transform, y)
            names = list(data.examples.class_names or data.examples.targets) or _targets(true.shape[1])
            yield f"regression/{stage}", partial(predictions.draw_regression, preds, true, names, title=title)
            return
        several = data.examples.task == "multiclass"
        highest, predicted = preds.max(1)
        confidence = (highest, predicted == y) if several else (preds.flatten(), y.flatten())
        yield f"curves/{stage}", partial(predictions.draw_curves, positives(data, stage, preds), confidence, title)
        if x.dim() == 4 and several and len(wrong := images.most_wrong(preds, y)):
            class_names = list(data.examples.class_names)
            yield f"wrong/{stage}", partial(images.draw_wrong, x[wrong], preds[wrong], y[wrong], class_names, title)


def positives(data: Data, stage: str, preds: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return name -> probability and truth for a classification; see `predictions.one_against_rest`."""
    return predictions.one_against_rest(preds, data.samples[stage][1], list(data.examples.class_names))


def without_test(data: Data) -> str:
    """Return the stage that is shown if there are no test samples."""
    return "val" if len(data.samples["val"][1]) else "train"


def _targets(number: int) -> list[str]:
    return ["target"] if number == 1 else [f"target {i}" for i in range(number)]
