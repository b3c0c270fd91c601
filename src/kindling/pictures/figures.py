"""Which pictures there are of a model and its data."""

from collections.abc import Iterator

import torch
from torch import Tensor

from kindling.answer import logits_of, of_logits
from kindling.layers import for_model
from kindling.look import style
from kindling.pictures import images, path, rows, surface

STAGES = {"train": "training rows", "val": "validation rows", "test": "test rows"}


def model_figures(model, data, title: str, way: list | None = None, columns: tuple | None = None) -> Iterator[tuple]:
    """Yields (tag, figure): what the network makes of its inputs, apart from the rows' answers.

    Args:
        way: the model's two numbers after each epoch, where it has no more.
        columns: two columns for a surface, of a table that has more.
    """
    with style():
        if data.examples.x.dim() == 2:
            of = surface.plane(data, columns)
            if of is not None:
                yield "surface", surface.draw_surface(model, data, of, title)
                if data.examples.task == "regression":
                    yield "plane", surface.draw_plane(model, data, of, title)
                neurons = surface.draw_neurons(model, data, of, title)
                if neurons is not None:
                    yield "neurons", neurons
            if data.examples.x.shape[1] == 1 and data.examples.task in ("regression", "binary"):
                yield "curve", surface.draw_curve(model, data, title)
        else:
            maps = images.first_filters(model, list(data.examples.x.shape[1:]))
            if maps is not None:
                yield "filters", images.draw_filters(maps, f"first layer's weights, {title}")
        if way and path.two_parameters(model):
            x, y = (for_model(model, t) for t in data.rows["train"])
            yield "path", path.draw_path(model, x, y, way, title)


def stage_answers(model, data, stage: str) -> Tensor:
    """The answers (N, num_outputs) to a stage's rows: probabilities, or values in the target's unit."""
    logits = torch.cat([logits_of(model, x) for x, _ in data.loader(stage, 1000)])
    return of_logits(data, logits)


def row_figures(data, stage: str, answer: Tensor) -> Iterator[tuple]:
    """Yields (tag, figure) of the answers to a stage's rows, from `stage_answers`."""
    x, y = data.rows[stage]
    title = f"{STAGES[stage]}, best weights"
    with style():
        if data.examples.task == "regression":
            true = of_logits(data, y)
            names = list(data.examples.class_names) or _targets(true.shape[1])
            yield f"regression/{stage}", rows.draw_regression(answer, true, names, title)
            return
        several = data.examples.task == "multiclass"
        sure = answer.max(1) if several else None
        confidence = (sure.values, sure.indices == y) if several else (answer.flatten(), y.flatten())
        yield f"curves/{stage}", rows.draw_curves(positives(data, stage, answer), confidence, title)
        wrong = images.most_wrong(answer, y) if x.dim() == 4 and several else []
        if len(wrong):
            picked = (x[wrong], answer[wrong], y[wrong], list(data.examples.class_names))
            yield f"wrong/{stage}", images.draw_wrong(*picked, title)


def positives(data, stage: str, answer: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Of a classification, name -> probability and truth: see `rows.one_against_rest`."""
    return rows.one_against_rest(answer, data.rows[stage][1], list(data.examples.class_names))


def without_test(data) -> str:
    """The stage whose rows are shown where no test rows are."""
    return "val" if len(data.rows["val"][1]) else "train"


def _targets(number: int) -> list[str]:
    return ["target"] if number == 1 else [f"target {i}" for i in range(number)]
