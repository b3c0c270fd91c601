"""Stack many models of equal shape: their weights are the rows of a matrix, and one forward pass computes them all."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from kindling.models.activation_modules import Sign, Step
from kindling.models.base import Model
from kindling.models.linear import Linear
from kindling.models.mlp import Deep
from kindling.models.noise import Dropout, Noise, RReLU, draw

# Elementwise and stateless: one call can compute the units of many members.
ELEMENTWISE = (
    *(nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity, nn.LeakyReLU),
    *(nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softshrink),
    *(nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold, Sign, Step),
)
NAMES = ("weight", "bias", "running_mean", "running_var")  # of a layer's tensors
NOISY = (Dropout, RReLU)  # variants may have different probabilities
KNOWN = (nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.PReLU, *NOISY, *ELEMENTWISE)


def layers_of(model: Model) -> list[nn.Module] | None:
    """Return the layers of a model that is a chain of known layers, compared by exact type; None for other models."""
    if not isinstance(model, Deep | Linear) or type(model) not in (Deep, Linear):
        return None
    layers = list(model.net)
    return layers if all(type(layer) in KNOWN for layer in layers) else None


def skeleton(model: Model) -> str:
    """Return the shapes and, if the layers are known, their types; models that agree in them can be stacked."""
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    layers = layers_of(model)
    if layers is None:
        return f"{type(model).__qualname__} {shapes}"
    kinds = [type(layer).__name__ if isinstance(layer, NOISY) else repr(layer) for layer in layers]
    pairs = zip(layers, kinds, strict=True)
    kinds = ["activation" if isinstance(layer, ELEMENTWISE) else kind for layer, kind in pairs]
    return f"{kinds} {shapes}"


def weights_of(model: Model) -> tuple[Tensor, list[Tensor]]:
    """Return all parameters as one row (P,), and the buffers."""
    return nn.utils.parameters_to_vector(model.parameters()).detach(), [b.clone() for b in model.buffers()]


class Stack(nn.Module):
    """The weights of M members as the rows of one matrix (M, P).

    A chain of known layers is computed explicitly, with one batched product per layer for all members (on a CPU 1.5 to
    2 times as fast as vmap, up to 100 members); any other model by `torch.func.vmap` over its own forward.

    Args:
        variants: slices of members with the same forward pass, in order, each with a model that has it; all models
            have the same `skeleton`.
        starts: each member's initial weights, from `weights_of`.
    """

    def __init__(self, variants: list[tuple[slice, Model]], starts: list[tuple[Tensor, list[Tensor]]]):
        super().__init__()
        first = variants[0][1]
        self.names = [name for name, _ in first.named_parameters()]
        self.shapes = [p.shape for p in first.parameters()]
        self.sizes = [p.numel() for p in first.parameters()]
        self.rows = nn.Parameter(torch.stack([row for row, _ in starts]))
        self.buffer_names = [name for name, _ in first.named_buffers()]
        for i, buffers in enumerate(zip(*(buffers for _, buffers in starts), strict=True)):
            self.register_buffer(f"buffer_{i}", torch.stack(buffers))
        # Lists do not register submodules: the templates' own weights are not used, and not saved in checkpoints.
        self.templates = list(variants)
        chains = [layers_of(template) for _, template in self.templates]
        self.layers = [chain for chain in chains if chain]  # for each template; empty if computed by vmap

    @property
    def stacked_buffers(self) -> list[Tensor]:
        return [self.get_buffer(f"buffer_{i}") for i in range(len(self.buffer_names))]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (M, B, num_outputs) of inputs (M, B, *input_shape)."""
        parts = self.rows.split(self.sizes, 1)
        weights = {n: p.view(len(p), *shape) for n, p, shape in zip(self.names, parts, self.shapes, strict=True)}
        buffers = dict(zip(self.buffer_names, self.stacked_buffers, strict=True))
        if self.layers:
            return self._forward_layers(x, {**weights, **buffers})
        logits = []
        for part, template in self.templates:
            template.train(self.training)
            call = vmap(lambda w, b, x, net=template: functional_call(net, (w, b), (x,)), randomness="error")
            own_weights, own_buffers = ({k: t[part] for k, t in named.items()} for named in (weights, buffers))
            logits.append(call(own_weights, own_buffers, x[part]))
        return torch.cat(logits)

    def state_dict_of(self, row: Tensor, buffers: list[Tensor]) -> dict[str, Tensor]:
        """Return a member's state dict, given its row (P,) and its buffers."""
        parts = zip(self.names, row.split(self.sizes), self.shapes, strict=True)
        named = {name: part.reshape(shape).clone() for name, part, shape in parts}
        named |= {name: buffer.clone() for name, buffer in zip(self.buffer_names, buffers, strict=True)}
        return {name: named[name] for name in self.templates[0][1].state_dict()}

    def _forward_layers(self, x: Tensor, tensors: dict[str, Tensor]) -> Tensor:
        for i, layer in enumerate(self.layers[0]):
            own = {name: tensors[key] for name in NAMES if (key := f"net.{i}.{name}") in tensors}
            if isinstance(layer, nn.Flatten):
                x = x.flatten(2)
            elif isinstance(layer, nn.Linear) and "bias" not in own:
                x = torch.bmm(x, own["weight"].transpose(1, 2))
            elif isinstance(layer, nn.Linear):
                x = torch.baddbmm(own["bias"][:, None], x, own["weight"].transpose(1, 2))
            elif isinstance(layer, nn.BatchNorm1d):
                x = self._batch_norm(x, layer, own)
                if self.training:
                    tensors[f"net.{i}.num_batches_tracked"].add_(1)
            elif isinstance(layer, nn.PReLU):
                x = torch.where(x > 0, x, own["weight"][:, None] * x)
            elif isinstance(layer, NOISY):
                noisy = [chain[i] for chain in self.layers]
                x = self._noise([layer for layer in noisy if isinstance(layer, Noise)], x, tensors[f"net.{i}.state"])
            else:
                x = self._by_variant([chain[i] for chain in self.layers], x)
        return x

    def _noise(self, layers: list[Noise], x: Tensor, states: Tensor) -> Tensor:
        if not self.training:
            return self._by_variant([layer.expected for layer in layers], x)
        return self._by_variant([layer.disturbed for layer in layers], x, draw(states, x))

    def _by_variant(self, calls: Sequence[Callable[..., Tensor]], *inputs: Tensor) -> Tensor:
        if len(calls) == 1:
            return calls[0](*inputs)
        parts = [part for part, _ in self.templates]
        return torch.cat([f(*(x[part] for x in inputs)) for f, part in zip(calls, parts, strict=True)])

    def _batch_norm(self, x: Tensor, layer: nn.BatchNorm1d, own: dict[str, Tensor]) -> Tensor:
        """Normalize (M, B, C) with M * C separate channels."""
        m, b, c = x.shape
        flat = x.transpose(0, 1).reshape(b, m * c)
        mean, var, weight, bias = (own[k].reshape(-1) for k in ("running_mean", "running_var", "weight", "bias"))
        momentum: float = layer.momentum  # type: ignore[assignment]  # None raises below; the jobs train singly
        out = F.batch_norm(flat, mean, var, weight, bias, self.training, momentum, layer.eps)
        return out.view(b, m, c).transpose(0, 1)
