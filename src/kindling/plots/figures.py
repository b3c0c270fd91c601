"""Which pictures there are of a model and its data."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from kindling.models.predict import logits_of, of_logits
from kindling.plots import images, predictions, surface
from kindling.plots import loss_path as path
from kindling.plots.style import style

Drawings = Iterator[tuple[str, Callable]]
STAGES = {"train": "training rows", "val": "validation rows", "test": "test rows"}


def model_figures(model, data, title: str, way: list | None = None, columns: tuple | None = None) -> Drawings:
    """Yield (tag, function that draws): what the network makes of its inputs, apart from its predictions for samples.

    Each is drawn on its own, because one that fails is no reason to lose the others; a function may return None.

    Args:
        way: the model's two numbers after each epoch, where it has no more.
        columns: two columns for a surface, of a table that has more.
    """
    with style():
        if data.examples.x.dim() == 2:
            of = surface.plane(data, columns)
            if of is not None:
                yield "surface", partial(surface.draw_surface, model, data, of, title=title)
                if data.examples.task == "regression":
                    yield "plane", partial(surface.draw_plane, model, data, of, title=title)
                yield "neurons", partial(surface.draw_neurons, model, data, of, title=title)
            if data.examples.x.shape[1] == 1 and data.examples.task in ("regression", "binary"):
                yield "curve", partial(surface.draw_curve, model, data, title)
        else:
            maps = images.first_filters(model, list(data.examples.x.shape[1:]))
            if maps is not None:
                yield "filters", partial(images.draw_filters, maps, f"first layer's weights, {title}")
        if way and path.two_parameters(model):
            yield "path", partial(path.draw_path, model, data, way, title=title)


def stage_predictions(model, data, stage: str) -> Tensor:
    """Return the predictions (N, num_outputs) for a stage's samples: probabilities, or values in the target's unit."""
    loader = data.loader(stage, 1000)
    loader.rank, loader.world_size = 0, 1  # all samples, also where the training has several processes
    logits = torch.cat([logits_of(model, x) for x, _ in loader])
    return of_logits(data, logits)


def sample_figures(data, stage: str, preds: Tensor) -> Drawings:
    """Yield (tag, function that draws) for the predictions of a stage's samples, from `stage_answers`."""
    x, y = data.samples[stage]
    title = f"{STAGES[stage]}, best weights"
    with style():
        if data.examples.task == "regression":
            true = of_logits(data, y)
            names = list(data.examples.class_names) or _targets(true.shape[1])
            yield f"regression/{stage}", partial(predictions.draw_regression, preds, true, names, title=title)
            return
        several = data.examples.task == "multiclass"
        sure = preds.max(1) if several else None
        confidence = (sure.values, sure.indices == y) if several else (preds.flatten(), y.flatten())
        yield f"curves/{stage}", partial(predictions.draw_curves, positives(data, stage, preds), confidence, title)
        wrong = images.most_wrong(preds, y) if x.dim() == 4 and several else []
        if len(wrong):
            picked = (x[wrong], preds[wrong], y[wrong], list(data.examples.class_names))
            yield f"wrong/{stage}", partial(images.draw_wrong, *picked, title)


def positives(data, stage: str, preds: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Of a classification, name -> probability and truth: see `predictions.one_against_rest`."""
    return predictions.one_against_rest(preds, data.samples[stage][1], list(data.examples.class_names))


def without_test(data) -> str:
    """The stage whose rows are shown where no test rows are."""
    return "val" if len(data.samples["val"][1]) else "train"


def _targets(number: int) -> list[str]:
    return ["target"] if number == 1 else [f"target {i}" for i in range(number)]
