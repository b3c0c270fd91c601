"""Of a model with two numbers to learn: the loss over both, and the way that training took."""

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from kindling.data.transforms import target_scaling
from kindling.models.capture import for_model
from kindling.plots.style import COLOURS, figure, plain


def two_parameters(model) -> list[str] | None:
    """Names of the parameters of a model that has two numbers in all; None of any other."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return [name for name, _ in named] if sum(p.numel() for _, p in named) == 2 else None


def where(model) -> list[float]:
    """The two numbers now."""
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad]).tolist()


def losses_at(model, x: Tensor, y: Tensor, points: Tensor) -> Tensor:
    """The model's own loss (K,) on rows x, y with its two numbers as in `points` (K, 2)."""
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    sizes = [p.numel() for p in parameters.values()]

    def at(point: Tensor) -> Tensor:
        parts = zip(parameters.items(), point.split(sizes), strict=True)
        return model.loss(functional_call(model, {name: v.view_as(p) for (name, p), v in parts}, (x,)), y)

    with torch.no_grad():
        return vmap(at, chunk_size=256)(points)


def draw_path(model, data, path: list[list[float]], title: str, side: int = 60):
    """Draw contours of the loss on the training samples, and a dot for every point (w, b) of `path`, the first white.

    Loss and numbers are those of training, so where the data is scaled the axes say so.
    """
    x, y = (for_model(model, t) for t in data.samples["train"])
    ends = torch.tensor(path)
    ends = ends[ends.isfinite().all(1)]
    low, high = ends.amin(0), ends.amax(0)
    room = 0.35 * (high - low).clamp(min=0.2 * (high - low).max().item() + 1e-3)
    first, second = (torch.linspace(low[i] - room[i], high[i] + room[i], side) for i in (0, 1))
    points = torch.stack([first.repeat(side), second.repeat_interleave(side)], 1).to(x)
    losses = losses_at(model, x, y, points=points).view(side, side).float().clamp(min=1e-12).cpu()
    fig = figure(5.4, 4.4)
    axes = fig.add_axes((0.13, 0.11, 0.66, 0.78))
    filled = axes.contourf(first.numpy(), second.numpy(), losses.log10().numpy(), levels=20, cmap="Greys_r")
    fig.colorbar(filled, cax=fig.add_axes((0.82, 0.11, 0.03, 0.78))).set_label(
        f"log10 of the training loss{_scaled(data.transform, inputs=False)}"
    )
    axes.plot(*ends.T, color=COLOURS[1], linewidth=1, marker=".", markersize=4)
    axes.plot(*ends[0], marker="o", color="white", markeredgecolor="black")
    axes.plot(*ends[-1], marker="*", color=COLOURS[4], markeredgecolor="black", markersize=12)
    names = two_parameters(model)
    words = names if len(names) == 2 else [f"{names[0]}[{i}]" for i in (0, 1)]
    words = [plain(word) for word in words]
    scaled = _scaled(data.transform)
    fig.text(0.13, 0.905, f"{title}; o start, * end", fontsize=9)
    axes.set(xlabel=f"{words[0]}{scaled}", ylabel=f"{words[1]}{scaled}")
    return fig


def _scaled(transform: dict, inputs: bool = True) -> str:
    """Return in brackets what is scaled, "" where nothing is."""
    by = {"inputs": (transform["shift"], transform["factor"])} if inputs else {}
    by["target"] = tuple(part.tolist() for part in reversed(target_scaling(transform)))
    found = [name for name, (shift, factor) in by.items() if set(shift) != {0.0} or set(factor) != {1.0}]
    return f" (scaled {' and '.join(found)})" if found else ""
