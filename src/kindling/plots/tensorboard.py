"""TensorBoard's own charts of a model: histograms of weights, gradients and outputs, PR curves, the graph."""

import copy
import warnings

import torch
from torch import Tensor, nn

from kindling.models.capture import inside

VALUES = 10_000  # of a tensor, in its histogram
BINS = 60


def write_histograms(writer, model, x: Tensor, y: Tensor, step: int) -> None:
    """Of the weights, of the gradients of the loss on rows x, y, and of every layer's outputs."""
    weights, seen = {name: p.detach().float().cpu() for name, p in model.named_parameters()}, inside(model, x, y)
    for kind, tensors in (("weights", weights), ("gradients", seen.gradients), ("outputs", seen.outputs)):
        for name, tensor in tensors.items():
            values = tensor.flatten()
            values = values[:: max(1, len(values) // VALUES)]
            if len(values) and values.isfinite().all():
                writer.add_histogram_raw(f"{kind}/{name}", **histogram(values), global_step=step)


def histogram(values: Tensor) -> dict:
    """What TensorBoard stores; it shows 30 bins, whatever it is given, and a writer's own 1,500 take longer."""
    counts, edges = torch.histogram(values, BINS)
    ends = {"min": values.min().item(), "max": values.max().item(), "num": len(values)}
    sums = {"sum": values.sum().item(), "sum_squares": values.square().sum().item()}
    return {**ends, **sums, "bucket_limits": edges[1:].tolist(), "bucket_counts": counts.tolist()}


def write_pr_curves(writer, of: dict[str, tuple[Tensor, Tensor]], stage: str, step: int) -> None:
    """For TensorBoard's own tab, which has a slider; `of` maps names to probabilities (N,) and truth (N,)."""
    for name, (probability, positive) in of.items():
        writer.add_pr_curve(f"pr/{stage}/{name}", positive, probability, step)


def write_graph(writer, model, x: Tensor) -> None:
    """By torch's trace, of a copy: what Lightning has attached to the model is no part of its graph."""

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            for name, child in model.named_children():
                self.add_module(name, child)

        def __getattr__(self, name: str):  # of the model's own values those that its forward reads
            return vars(model)[name] if name in vars(model) else super().__getattr__(name)

        def forward(self, x):
            return type(model).forward(self, x)

    Plain.__name__ = type(model).__name__  # the graph's name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own: its trace is deprecated, and TensorBoard knows no other
        writer.add_graph(copy.deepcopy(Plain()).eval(), x)
