"""From an activation's name to its module."""

from torch import Tensor, nn

from kindling.activations import ACTIVATIONS, canonical
from kindling.models.noise import RReLU


class Step(nn.Module):
    """1 where x > 0, else 0. Its derivative is zero: layers before it do not learn by gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)


class Sign(nn.Module):
    """-1, 0 or 1. Its derivative is zero: layers before it do not learn by gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sign()


def activation_module(name: str) -> nn.Module:
    """A new module at each call, so that every layer's PReLU has its own slope."""
    class_name, *args = ACTIVATIONS[canonical(name)]
    own = {"Step": Step, "Sign": Sign, "RReLU": RReLU}
    return (own.get(class_name) or getattr(nn, class_name))(*args)
