"""Seconds and peak memory from a file to tensors, beside pandas, and epochs per second, beside a raw loop.

    python tests/benchmarks/csv_tables.py [rows ...]

8 numbers, or with "+10" also 10 categories of 20 values. Each measurement is a process of its own; the imports are not
counted. Memory: the largest resident set minus that after the imports.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NUMBERS, CATEGORIES, VALUES, BATCH = 8, 10, 20, 4096
ROWS = ("1000", "10000", "100000", "1000000", "10000000", "1000000+10")


def write(path: Path, rows: int, categories: int) -> None:
    """Write a table with a binary target, in parts."""
    rng = np.random.default_rng(0)
    columns = [*(f"x{i}" for i in range(NUMBERS)), *(f"c{i}" for i in range(categories)), "y"]
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(columns) + "\n")
        for start in range(0, rows, 100_000):
            size = min(100_000, rows - start)
            parts = [*rng.normal(size=(NUMBERS, size)).round(4).astype(str)]
            parts += [np.char.add("value ", rng.integers(VALUES, size=size).astype(str)) for _ in range(categories)]
            parts.append(rng.integers(2, size=size).astype(str))
            file.writelines(",".join(row) + "\n" for row in zip(*parts, strict=True))


def measure(kind: str, path: str) -> None:
    """Print seconds, MB of peak memory, and for tensors also epochs per second of both loops, as JSON."""
    import pandas as pd
    import torch

    from kindling.data.tables.table import Table

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    found = {}
    if kind == "pandas":
        frame = pd.read_csv(path)
        found["frame"] = frame.memory_usage(deep=True).sum() / 1e6
    else:
        data = Table(path, "y", "binary", batch_size=BATCH, missing_indicator="auto", stratify="auto")
        data.setup()
        found["width"] = data.samples["train"][0].shape[1]
    found["seconds"] = time.perf_counter() - started
    found["memory"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    if kind == "tensors":
        x, y = data.samples["train"]
        x = x.clone()  # of all inputs, if the categories are kept as codes
        model = torch.nn.Linear(x.shape[1], 1)
        loader, loops = data.loader("train", BATCH, seed=0), {"epochs": [], "raw": []}
        while sum(loops["raw"], 0.0) < 2 or len(loops["raw"]) < 3:
            loops["epochs"].append(_epoch(model, loader))
            loops["raw"].append(_epoch(model, ((x[i], y[i]) for i in torch.randperm(len(x)).split(BATCH))))
        found |= {name: 1 / float(np.median(times)) for name, times in loops.items()}
    print(json.dumps(found))


def _epoch(model, batches) -> float:
    import torch

    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    started = time.perf_counter()
    for x, y in batches:
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(model(x), y).backward()
        optimizer.step()
    return time.perf_counter() - started


def main(sizes: list[str]) -> None:
    print(
        "| rows | pandas, s | tensors, s | ratio | pandas, MB | tensors, MB | ratio | epochs/s | raw loop / Kindling |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for size in sizes:
        rows, plus, categories = size.partition("+")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "t.csv"
            write(path, int(rows), int(categories) if plus else 0)
            results = []
            for kind in ("pandas", "tensors"):
                command = [sys.executable, __file__, "--measure", kind, str(path)]
                results.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        base, own = results
        cells = [f"{base['seconds']:.2f}", f"{own['seconds']:.2f}", f"{own['seconds'] / base['seconds']:.1f}"]
        cells += [f"{base['memory']:.0f}", f"{own['memory']:.0f}", f"{own['memory'] / max(1, base['memory']):.2f}"]
        cells += [f"{own['epochs']:.1f}", f"{own['raw'] / own['epochs']:.2f}"]
        print(f"| {size} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    measure(*sys.argv[2:]) if sys.argv[1:2] == ["--measure"] else main(sys.argv[1:] or list(ROWS))
