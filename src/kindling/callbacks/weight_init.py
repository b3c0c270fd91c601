"""Initial weights: a scheme such as `init=xavier`, or a JSON file of weights."""

import json
from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torch import nn

from kindling import UserError
from kindling.files import find

SCHEMES: dict[str, Callable[[torch.Tensor], object]] = {  # for weights of linear and convolutional layers; biases are 0
    "xavier": nn.init.xavier_uniform_,  # Glorot and Bengio 2010
    "kaiming": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),  # He et al. 2015
    "zeros": nn.init.zeros_,
    "normal": lambda weight: nn.init.normal_(weight, std=0.1),
    "ntk": lambda weight: nn.init.normal_(weight, std=weight[0].numel() ** -0.5),  # biases are N(0, 1)
}
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Init(pl.Callback):
    """Sets the initial weights before training; a resumed run then loads those of its checkpoint.

    Args:
        init: "xavier", "kaiming", "zeros", "normal" (standard deviation 0.1), "ntk" (of RealMLP), or a JSON file.
    """

    supports_multi_step = True

    def __init__(self, init: str):
        self.init = init

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            initialise(pl_module, self.init)


def init(init: str) -> Init | None:
    """Return the callback, or None with init=default, torch's own initialization; called by conf/config.yaml."""
    return None if init == "default" else Init(init)


def initialise(model: nn.Module, init: str) -> None:
    """Set the weights of a model.

    Args:
        init: a name in SCHEMES, or a JSON file: {"net.0.weight": [[...], ...], "net.0.bias": [...], ...}.

    Raises:
        UserError: the model has no such layers; the file does not exist, is invalid, or does not fit the model.
    """
    if init not in SCHEMES:
        _load(model, init)
        return
    with torch.no_grad():
        layers = [layer for layer in model.modules() if isinstance(layer, LAYERS)]
        if not layers:
            raise UserError(
                f"init={init} sets linear and convolutional layers of torch.nn, of which the model has none."
            )
        for layer in layers:
            SCHEMES[init](layer.weight)
            if layer.bias is not None:
                nn.init.normal_(layer.bias) if init == "ntk" else nn.init.zeros_(layer.bias)


def _load(model: nn.Module, path: str) -> None:
    wanted = {name: list(p.shape) for name, p in model.named_parameters()}
    shapes = ", ".join(f"{name} {shape}" for name, shape in wanted.items())
    try:
        content = json.loads(find(path, "init").read_text(encoding="utf-8"))
        weights = {name: torch.tensor(values, dtype=torch.float32) for name, values in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"init={path} is not a JSON object of names and numbers ({error}). The model's weights: {shapes}."
        ) from error
    found = {name: list(tensor.shape) for name, tensor in weights.items()}
    for name in [*wanted, *found]:
        if found.get(name) != wanted.get(name):
            raise UserError(
                f"init={path}: the shape of {name} is {found.get(name, 'missing')} in the file and "
                f"{wanted.get(name, 'missing')} in the model. The model's weights: {shapes}."
            )
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(weights[name])
