"""Capture the gradients and the outputs of a model's layers during training."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from kindling.data.loader import Pixels
from kindling.models.noise import Dropout

if TYPE_CHECKING:
    from kindling.data.base import Data
    from kindling.models.base import Model

NUM_SAMPLES = 256  # training samples from which gradients and outputs are computed


def in_series(epoch: int) -> bool:
    """Return whether the epoch is 1, 2, 3, 5, 8, 13, ..., roughly equal steps on a logarithmic scale."""
    a, b = 1, 2
    while a < epoch:
        a, b = b, a + b
    return a == epoch


def some_samples(data: "Data", model: nn.Module, number: int = NUM_SAMPLES) -> tuple[Tensor, Tensor]:
    """Return the first training samples as the model gets them, on its device and in its precision."""
    x, y = (t[:number] for t in data.samples["train"])
    x = x if x.is_floating_point() else Pixels(data.transform)(x)
    return for_model(model, x), for_model(model, y)


def for_model(model: nn.Module, t: Tensor) -> Tensor:
    """Return a tensor on the model's device, and in its precision if it is floating point."""
    parameter = next(model.parameters())
    return t.to(parameter.device, parameter.dtype if t.is_floating_point() else t.dtype)


class Inside(NamedTuple):
    """The loss of some samples, the gradient of each parameter, and the output of each layer, on the CPU."""

    loss: float
    gradients: dict[str, Tensor]
    outputs: dict[str, Tensor]  # of the innermost modules other than Flatten and Dropout


def inside(model: "Model", x: Tensor, y: Tensor) -> Inside:
    """Run the model forward and backward in evaluation mode, without changing it or its batch norm statistics."""
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    leaves = [(name, m) for name, m in model.named_modules() if name and not list(m.children())]
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
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
