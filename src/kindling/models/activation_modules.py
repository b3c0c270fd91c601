"""Create activation modules from their names."""

from torch import Tensor, nn

from kindling.activations import ACTIVATIONS, canonical
from kindling.models.noise import RReLU


class Step(nn.Module):
    """1 where x > 0, else 0. Its derivative is zero, so that layers before it get no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)


class Sign(nn.Module):
    """The sign of x: -1, 0 or 1. Its derivative is zero, so that layers before it get no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sign()


OWN: dict[str, type[nn.Module]] = {  # all others are in torch.nn
    "RReLU": RReLU,
    "Sign": Sign,
    "Step": Step,
}


def activation_module(name: str) -> nn.Module:
    """Return a new module, so that each PReLU has its own slope."""
    class_name, *args = ACTIVATIONS[canonical(name)]
    return (OWN.get(class_name) or getattr(nn, class_name))(*args)
