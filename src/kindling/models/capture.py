"""Capture the gradients and the outputs of a model's layers at a moment of training."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from kindling.data.loader import Pixels
from kindling.models.noise import Dropout

ROWS = 256  # of the training rows, from which gradients and outputs are taken


def in_series(epoch: int) -> bool:
    """Whether the epoch is 1, 2, 3, 5, 8, 13, ...: equal steps in a logarithm of time, for what costs a little."""
    one, other = 1, 2
    while one < epoch:
        one, other = other, one + other
    return one == epoch


def some_samples(data, model, number: int = ROWS) -> tuple[Tensor, Tensor]:
    """The first training rows, as the model is given them, on its device and in its precision."""
    x, y = (t[:number] for t in data.samples["train"])
    x = x if x.is_floating_point() else Pixels(data.transform)(x)
    return for_model(model, x), for_model(model, y)


def for_model(model, t: Tensor) -> Tensor:
    """On the model's device, and floats in the model's precision, which may be float64."""
    parameter = next(model.parameters())
    return t.to(parameter.device, parameter.dtype if t.is_floating_point() else t.dtype)


class Inside(NamedTuple):
    """Of a model with some rows: the training loss, each parameter's gradient, each layer's outputs, on the CPU."""

    loss: float
    gradients: dict[str, Tensor]
    outputs: dict[str, Tensor]  # of layers without parts of their own, apart from Flatten and Dropout


def inside(model, x: Tensor, y: Tensor) -> Inside:
    """In evaluation mode; nothing of the model is changed, the means of batch norm are not either."""
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    leaves = [(name, m) for name, m in model.named_modules() if name and not list(m.children())]
    outputs: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(module, inputs, output) -> None:
            if isinstance(output, Tensor):
                outputs[name] = output.detach().float().cpu()

        return hook

    hooks = [
        m.register_forward_hook(keep(name))
        for name, m in leaves
        if not isinstance(m, nn.Flatten | nn.Dropout | Dropout)
    ]
    training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            loss = model.loss(model(x), y)
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    pairs = zip(parameters, found, strict=True)
    return Inside(loss.item(), {name: g.float().cpu() for name, g in pairs if g is not None}, outputs)
