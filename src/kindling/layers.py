"""What goes on in a model's layers at a moment of training, for the extras that look: gradients and outputs."""

import torch
from torch import Tensor, nn

from kindling.data.loader import Pixels

ROWS = 256  # of the training rows, from which gradients and outputs are taken


def in_series(epoch: int) -> bool:
    """Whether the epoch is 1, 2, 3, 5, 8, 13, ...: equal steps in a logarithm of time, for what costs a little."""
    one, other = 1, 2
    while one < epoch:
        one, other = other, one + other
    return one == epoch


def some_rows(data, model, number: int = ROWS) -> tuple[Tensor, Tensor]:
    """The first training rows, as the model is given them, on its device and in its precision."""
    x, y = (t[:number] for t in data.rows["train"])
    x = x if x.is_floating_point() else Pixels(data.transform)(x)
    return for_model(model, x), for_model(model, y)


def for_model(model, t: Tensor) -> Tensor:
    """On the model's device, and floats in the model's precision, which may be float64."""
    parameter = next(model.parameters())
    return t.to(parameter.device, parameter.dtype if t.is_floating_point() else t.dtype)


def gradients(model, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Of the training loss on rows x, y, in evaluation mode: nothing of the model is changed, batch norm's mean not."""
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            found = torch.autograd.grad(model.loss(model(x), y), list(parameters.values()), allow_unused=True)
    finally:
        model.train(training)
    pairs = zip(parameters, found, strict=True)
    return {name: gradient.float().cpu() for name, gradient in pairs if gradient is not None}


def outputs(model, x: Tensor) -> dict[str, Tensor]:
    """Of every layer without parts of its own, by name, for inputs x in evaluation mode."""
    found: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(module, inputs, output) -> None:
            if isinstance(output, Tensor):
                found[name] = output.detach().float().cpu()

        return hook

    layers = [(name, m) for name, m in model.named_modules() if name and not list(m.children())]
    hooks = [m.register_forward_hook(keep(name)) for name, m in layers if not isinstance(m, nn.Flatten | nn.Dropout)]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(x)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return found
