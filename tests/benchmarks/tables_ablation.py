"""What the parts of `model=realmlp` contribute: each is replaced alone, on the tables with at most 1,000 rows.

The tables and splits are those of tables.py.

    python tests/benchmarks/tables_ablation.py            # after tables.py has written the splits; resumes
    python tests/benchmarks/tables_ablation.py report

Accuracy or R2 of the test rows, one split per table. The difference to all parts is in points (0.01), with a 95 %
interval from a bootstrap over the tables; `worse` counts the tables on which the replacement lowers the score.
"""

import json
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pandas as pd
from tables import BUILD, Unit, call, test_score

RESULTS = BUILD / "ablation.csv"
ALL = "all parts"
PARTS = {
    ALL: [],
    "standard scaling": ["scale=standard"],
    "one cosine cycle": ["schedule=cosine"],
    "one learning rate": ["lr_factors=null"],
    "relu": ["activation=relu"],
    "no label smoothing": ["label_smoothing=0"],
    "beta2=0.999": ["beta2=0.999"],
    "best epoch by loss": ["monitor=val/loss"],
    "first of equal epochs": ["callbacks.checkpoints.ties=first"],
    "last batch kept": ["drop_last=false"],
}
MOST_ROWS, SEEDS = 1_000, 1
LOCK = threading.Lock()


def results() -> pd.DataFrame:
    columns = ["table", "seed", "part", "score"]
    return pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=columns)


def run(unit: Unit, part: str) -> None:
    """Train the model without one part, and append its score."""
    folder = BUILD / "ablation" / unit.name / str(unit.seed) / part.replace(" ", "_").replace("=", "_")
    shutil.rmtree(folder, ignore_errors=True)  # of a fit that was interrupted
    options = ["model=realmlp", "pictures=none", f"hydra.run.dir={folder}", *PARTS[part]]
    list(call([sys.executable, "train.py", *unit.options("", unit.target), *options]))
    score = test_score(json.loads((folder / "result.json").read_text())["metrics"])
    with LOCK:
        line = pd.DataFrame([[unit.name, unit.seed, part, score]], columns=["table", "seed", "part", "score"])
        line.to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False)
    print(unit.name, unit.seed, part, score, flush=True)


def report() -> str:
    """Return the table in Markdown, from the tables that are complete."""
    scores = results().pivot_table(index="table", columns="part", values="score", aggfunc="mean")
    scores = scores.reindex(columns=list(PARTS)).dropna(subset=[name for name in PARTS if name != "no label smoothing"])
    lines = [f"{len(scores)} tables", "", "| replaced | difference | 95 % interval | worse | better |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    generator = np.random.default_rng(0)
    for part in list(PARTS)[1:]:
        points = 100 * (scores[part] - scores[ALL]).dropna().to_numpy()
        means = generator.choice(points, (10_000, len(points))).mean(1)
        low, high = np.quantile(means, [0.025, 0.975])
        counts = f"{(points < 0).sum()} | {(points > 0).sum()}"
        lines.append(f"| {part} | {points.mean():+.2f} | {low:+.2f} to {high:+.2f} | {counts} |")
    return "\n".join(lines)


def main() -> None:
    tables = pd.read_csv(BUILD / "data" / "tables.csv")
    if sys.argv[1:] != ["report"]:
        done = set(results()[["table", "seed", "part"]].itertuples(index=False, name=None))
        small = [row for _, row in tables[tables["rows"] <= MOST_ROWS].iterrows()]
        jobs = [
            (Unit(row, seed, ""), part)
            for seed, row, part in product(range(SEEDS), small, PARTS)
            if (row["table"], seed, part) not in done and (part != "no label smoothing" or row["task"] != "regression")
        ]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda job: run(*job), jobs))
    print(report())


if __name__ == "__main__":
    main()
