"""A table for quantile regression."""

from pathlib import Path

import numpy as np
import pandas as pd

OPTIONS = ["loss=quantile", "quantiles=[0.1,0.5,0.9]"]


def noisy_line(folder: Path, n: int = 600, targets: int = 1) -> list[str]:
    """Write a table whose noise grows with x, and return the overrides to train on it."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 2, n)
    table = pd.DataFrame({"x": x, "z": rng.normal(size=n)})
    for i in range(targets):
        table[f"y{i}"] = 10 * (i + 1) + 5 * x + (1 + x) * rng.normal(size=n)
    table.to_csv(folder / "noisy.csv", index=False)
    names = ",".join(f"y{i}" for i in range(targets))
    return ["data=csv", f"data.path={folder / 'noisy.csv'}", f"data.target=[{names}]", "data.task=regression", *OPTIONS]
