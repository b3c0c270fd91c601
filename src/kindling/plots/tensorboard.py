"""Write TensorBoard's own charts of a model: histograms of weights, gradients and outputs, PR curves, the graph."""

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard._pytorch_graph import graph  # add_graph of SummaryWriter traces every time

from kindling.models.base import Model
from kindling.models.capture import inside

MAX_VALUES = 10_000  # per histogram
BINS = 60
GRAPHS: dict[tuple[Any, ...], tuple[Any, Any]] = {}  # of the models that have been traced


def write_histograms(writer: SummaryWriter, model: Model, x: Tensor, y: Tensor, step: int) -> None:
    """Write histograms of the weights, of the gradients of the loss on samples x, y, and of all layers' outputs."""
    weights, captured = {name: p.detach().float().cpu() for name, p in model.named_parameters()}, inside(model, x, y)
    for kind, tensors in (("weights", weights), ("gradients", captured.gradients), ("outputs", captured.outputs)):
        for name, tensor in tensors.items():
            values = tensor.flatten()
            values = values[:: max(1, len(values) // MAX_VALUES)]
            if len(values) and values.isfinite().all():
                writer.add_histogram_raw(f"{kind}/{name}", **histogram(values), global_step=step)


def histogram(values: Tensor) -> dict[str, Any]:
    """Return what TensorBoard stores; it shows 30 bins, and the writer's default of 1,500 takes longer."""
    counts, edges = torch.histogram(values, BINS)
    ends = {"min": values.min().item(), "max": values.max().item(), "num": len(values)}
    sums = {"sum": values.sum().item(), "sum_squares": values.square().sum().item()}
    return {**ends, **sums, "bucket_limits": edges[1:].tolist(), "bucket_counts": counts.tolist()}


def write_pr_curves(writer: SummaryWriter, classes: dict[str, tuple[Tensor, Tensor]], stage: str, step: int) -> None:
    """Write precision-recall curves for TensorBoard's PR tab.

    Args:
        classes: name -> probabilities (N,) and truth (N,).
    """
    for name, (probability, positive) in classes.items():
        writer.add_pr_curve(f"pr/{stage}/{name}", positive, probability, step)


def write_graph(writer: SummaryWriter, model: Model, x: Tensor) -> None:
    """Write the model's graph, or that of an equal model of this process, because a trace is never freed (0.4 MB)."""
    key = (type(model), str(model), str(model.hparams), x.shape, x.dtype, x.device)
    if key not in GRAPHS:
        GRAPHS[key] = _trace(model, x)
    file_writer: Any = writer.file_writer
    file_writer.add_graph(GRAPHS[key])


def _trace(model: nn.Module, x: Tensor) -> tuple[Any, Any]:
    """Trace the graph on a copy without the objects that Lightning has attached to the model."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, child in model.named_children():
                self.add_module(name, child)

        def __getattr__(self, name: str) -> Any:  # other attributes of the model that its forward uses
            return vars(model)[name] if name in vars(model) else super().__getattr__(name)

        def forward(self, x: Tensor) -> Tensor:
            return type(model).forward(self, x)

    Plain.__name__ = type(model).__name__  # the graph's name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace is deprecated, and TensorBoard has no alternative
        return graph(copy.deepcopy(Plain()).eval(), x)
