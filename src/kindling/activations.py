"""Names of the activation functions; does not import torch, so that a wrong name is rejected immediately."""

from difflib import get_close_matches
from typing import Any

from kindling import UserError

# name -> class in torch.nn, or in OWN in models/activation_modules.py, and its arguments
ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "celu": ("CELU",),
    "elu": ("ELU",),
    "gelu": ("GELU",),
    "hardshrink": ("Hardshrink",),
    "hardsigmoid": ("Hardsigmoid",),
    "hardswish": ("Hardswish",),
    "hardtanh": ("Hardtanh",),
    "identity": ("Identity",),
    "leaky_relu": ("LeakyReLU",),
    "logsigmoid": ("LogSigmoid",),
    "mish": ("Mish",),
    "prelu": ("PReLU",),
    "relu": ("ReLU",),
    "relu6": ("ReLU6",),
    "rrelu": ("RReLU",),
    "selu": ("SELU",),
    "sigmoid": ("Sigmoid",),
    "sign": ("Sign",),
    "silu": ("SiLU",),
    "softplus": ("Softplus",),
    "softshrink": ("Softshrink",),
    "softsign": ("Softsign",),
    "step": ("Step",),
    "tanh": ("Tanh",),
    "tanhshrink": ("Tanhshrink",),
    # torch has no defaults; (0, 0) would be relu.
    "threshold": ("Threshold", 0.1, 0.0),
}
ALIASES = {
    "leakyrelu": "leaky_relu",
    "linear": "identity",
    "log_sigmoid": "logsigmoid",
    "logistic": "sigmoid",
    "none": "identity",
    "swish": "silu",
}
_MIXES = "mixes the units of a layer, and Kindling's losses already apply it to the logits. Choose an element-wise one"
REJECTED = {
    "softmax": _MIXES,
    "softmin": _MIXES,
    "softmax2d": _MIXES,
    "log_softmax": _MIXES,
    "logsoftmax": _MIXES,
    "glu": "halves the width of a layer. Choose an element-wise one",
}


def canonical(name: str) -> str:
    """Return the canonical name of an activation, e.g. `silu` for `Swish`.

    Raises:
        UserError: `name` is not an element-wise activation; the message has the reason or the nearest name.
    """
    key = str(name).lower()
    key = ALIASES.get(key, key)
    if key in ACTIVATIONS:
        return key
    if key in REJECTED:
        raise UserError(f"activation={name} {REJECTED[key]}: {', '.join(ACTIVATIONS)}.")
    near = get_close_matches(key, [*ACTIVATIONS, *ALIASES], 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UserError(f"activation={name} is unknown.{hint} Known: {', '.join(ACTIVATIONS)}.")
