"""Small sweeps to select ensembles of, and ensemble selection by a plain loop in numpy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np


def trainer(folder: Path) -> Callable[..., Path]:
    """Return sweep("data=blobs", ...), which trains variants, two seeds by default, and returns the sweep's folder."""
    from sweeps.sweep_helpers import trained_together

    def train(*args: str, variants=("seed=0", "seed=1")) -> Path:
        folder.mkdir()
        small = ["epochs=2", "lr=0.05", "depth=1", "width=4", *args]
        trained_together(folder, [[*small, *own.split()] for own in variants])
        return folder

    return train


def selected(number: int, cost: Callable[[list[int]], float]) -> list[int]:
    """Return the members, with repetitions, that up to 50 greedy additions give, by scoring every list of members."""
    bag, history = [], []
    for _ in range(50):
        costs = [cost([*bag, i]) for i in range(number)]
        bag.append(int(np.argmin(costs)))
        history.append(min(costs))
    return bag[: 1 + next(i for i, value in enumerate(history) if value < min(history) + 1e-12)]


def greedy(preds: np.ndarray, loss: Callable[[np.ndarray], float]) -> np.ndarray:
    """Return the weights of the members, given their predictions (members, N, num_outputs)."""
    members = selected(len(preds), lambda bag: loss(preds[bag].mean(0)))
    return np.bincount(members, minlength=len(preds)) / len(members)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
