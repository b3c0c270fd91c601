"""Tables that nobody chose: one command each, without an edit, beside a linear model of scikit-learn on the same rows.

The tables are those of the packages ISLP 0.6 (the data of "An Introduction to Statistical Learning") and statsmodels
(its `datasets` with an endog) that have 250 to 10,000 rows and a documented target, without time series of a single
column: the first 15 by name. The targets of ISLP are those that the book predicts; those of statsmodels are its
`endog_name`. This rule was fixed before any model was trained.

    python -m pip install --no-deps ISLP && python -m pip install statsmodels scikit-learn
    python tests/benchmarks/own_tables.py

For each table: `python train.py data=csv data.path=... data.target=... model=deep` with five splits, and the mean test
score, accuracy or R2. The pipeline: median, StandardScaler, one-hot encoding; LogisticRegression or Ridge.
"""

import csv
import json
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

PROJECT = Path(__file__).parents[2]
ISLP = {
    "Auto": "mpg", "Bikeshare": "bikers", "Boston": "medv", "Caravan": "Purchase", "Carseats": "Sales",
    "College": "Apps", "Credit": "Balance", "Default": "default", "Hitters": "Salary", "OJ": "Purchase",
    "Smarket": "Direction", "Wage": "wage", "Weekly": "Direction",
}  # fmt: skip
STATSMODELS = {"anes96": "PID", "fair": "affairs", "modechoice": "choice", "star98": "NABOVE"}
TABLES = sorted([*ISLP, *STATSMODELS], key=str.lower)[:15]
SPLITS = 5


def load(name: str) -> tuple[pd.DataFrame, str]:
    """Return a table and its target; rows without a target are left out."""
    if name in ISLP:
        table, target = pd.read_csv(str(files("ISLP").joinpath("data", f"{name}.csv"))), ISLP[name]
    else:
        import statsmodels.datasets

        table, target = getattr(statsmodels.datasets, name).load_pandas().data, STATSMODELS[name]
    return table.dropna(subset=[target]).reset_index(drop=True), target


def kindling(path: Path, target: str, split: int) -> tuple[str, float, pd.DataFrame]:
    """Train one model, and return the task, the test score and the split."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "train.py", "data=csv", f"data.path={path}", f"data.target={target}", "model=deep"]
        command += [f"data.split_seed={split}", f"hydra.run.dir={folder}/run"]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{path.stem}: {done.stderr[-500:]}")
        metrics = json.loads(Path(folder, "run", "result.json").read_text())["metrics"]
        rows = pd.read_csv(Path(folder, "run", "split.csv"))
    name = "test/accuracy" if "test/accuracy" in metrics else "test/r2"
    return name, metrics[name], rows


def pipeline(table: pd.DataFrame, target: str, split: pd.DataFrame, score: str) -> float:
    """Return the test score of the linear pipeline, fitted to the training and validation rows."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    x, y = table.drop(columns=target), table[target]
    is_test = (split["stage"] == "test").to_numpy()
    columns = make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=5000) if score == "test/accuracy" else Ridge())
    return model.fit(x[~is_test], y[~is_test]).score(x[is_test], y[is_test])


def main(names: list[str]) -> None:
    writer = csv.writer(sys.stdout, delimiter="\t")
    writer.writerow(["table", "rows", "columns", "text columns", "score", "pipeline", "deep", "difference"])
    for name in names or TABLES:
        table, target = load(name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.csv")
            table.to_csv(path, index=False)
            found = [kindling(path, target, split) for split in range(SPLITS)]
        score = found[0][0]
        ours = np.mean([value for _, value, _ in found])
        linear = np.mean([pipeline(table, target, rows, score) for _, _, rows in found])
        text = table.drop(columns=target).select_dtypes(exclude="number").shape[1]
        shape = [name, len(table), table.shape[1] - 1, text]
        writer.writerow([*shape, score, f"{linear:.3f}", f"{ours:.3f}", f"{ours - linear:+.3f}"])
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
