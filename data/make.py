"""Generate the shipped data sets: `python data/make.py` (ring, xor, spiral, bump).

`python data/make.py DIGITS` also makes mnist_sample.npz from the four unpacked IDX files of MNIST in the folder DIGITS.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
ROWS, TEST_ROWS = 1_000, 10_000  # many test samples, so that the standard error of the score is 0.2 %


def ring(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a disc of radius 0.9 (class 1) inside a ring from 1.1 to 2 (class 0), half of the samples each.

    Even over the radius, not over the area, and with a gap: so a logistic regression on the radius reaches the best
    rate, though labels are turned round.
    """
    label = rng.integers(0, 2, n)
    inner, outer = np.where(label == 1, 0.0, 1.1), np.where(label == 1, 0.9, 2.0)
    radius = rng.uniform(inner, outer)
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), label


def xor(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y uniform in 0.1 to 1 or -1 to -0.1; class 1 if their signs are equal.

    With a gap along the axes, as the ring has one: so a logistic regression on the product reaches the best rate.
    """
    xy = rng.uniform(0.1, 1, (n, 2)) * rng.choice([-1, 1], (n, 2))
    return xy, (xy.prod(1) > 0).astype(int)


def spiral(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two arms of 1.5 turns, opposite each other, half as wide as the gap between them."""
    label = rng.integers(0, 2, n)
    turn = np.sqrt(rng.uniform(0.05, 1, n)) * 3 * np.pi
    radius = turn / (3 * np.pi) + rng.uniform(-0.06, 0.06, n)
    angle = turn + np.pi * label
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), label


# Shares of labels that are flipped; no model can exceed an accuracy of 1 - share (the Bayes rate).
SETS = {"ring": (ring, 0.044), "xor": (xor, 0.036), "spiral": (spiral, 0.0)}


def write(name: str, suffix: str, rows: int, seed: int) -> None:
    draw, noise = SETS[name]
    rng = np.random.default_rng(seed)
    xy, label = draw(rng, rows)
    label = np.where(rng.uniform(size=rows) < noise, 1 - label, label)
    table = pd.DataFrame(xy.round(4), columns=["x", "y"]).assign(**{"class": label})
    table.to_csv(HERE / f"{name}{suffix}.csv", index=False, lineterminator="\n")


def bump() -> None:
    """Return x from 0 to 3 in steps of 0.01; class 1 between 0.4 and 0.5."""
    x = np.arange(301) / 100
    table = pd.DataFrame({"x": x, "class": ((x > 0.4) & (x < 0.5)).astype(int)})
    table.to_csv(HERE / "bump.csv", index=False, lineterminator="\n")


def digits(folder: Path) -> None:
    """Write 200 digits of each class from MNIST's training file and 50 of each from its test file."""
    rng, arrays = np.random.default_rng(0), {}
    for part, name, each in (("train", "train", 200), ("test", "t10k", 50)):
        labels = np.fromfile(folder / f"{name}-labels-idx1-ubyte", np.uint8)[8:]
        images = np.fromfile(folder / f"{name}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 28, 28)
        chosen = np.concatenate([rng.choice(np.flatnonzero(labels == k), each, replace=False) for k in range(10)])
        chosen = rng.permutation(chosen)
        arrays |= {f"x_{part}": images[chosen], f"y_{part}": labels[chosen]}
    np.savez_compressed(HERE / "mnist_sample.npz", **arrays)


if __name__ == "__main__":
    for number, name in enumerate(SETS):
        write(name, "", ROWS, seed=2 * number)
        write(name, "_test", TEST_ROWS, seed=2 * number + 1)
    bump()
    if sys.argv[1:]:
        digits(Path(sys.argv[1]))
