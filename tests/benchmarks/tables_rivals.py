"""The models that `tables.py` compares Kindling with. Runs in the environment of tables-requirements.txt.

    python tables_rivals.py <folder of a split> <split.csv of Kindling> <task> <target> <seed> <method> ...

Prints one line of JSON per method: its score (accuracy or R2) on the test rows and the seconds of its fit. All models
have their default settings. Those of scikit-learn and CatBoost are fitted to the training and validation rows; RealMLP
of pytabkit uses the validation rows of Kindling to choose its epoch. It accepts no missing numbers: they become the
median of the training rows.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def read(folder: Path, target: str, task: str) -> tuple[pd.DataFrame, np.ndarray, int]:
    """Return the inputs and targets of the training and test rows, and how many are training rows."""
    types = None if task == "regression" else {target: str}
    train, test = (pd.read_csv(folder / f"{name}.csv", dtype=types) for name in ("train", "test"))
    table = pd.concat([train, test], ignore_index=True)
    x = table.drop(columns=target)
    for name in x.select_dtypes(exclude="number").columns:
        x[name] = x[name].astype(object).fillna("missing").astype(str).astype("category")
    y = table[target]
    values = y.astype(float) if task == "regression" else pd.Series(pd.factorize(y, sort=True)[0])
    return x, values.to_numpy(), len(train)


def scikit_learn(method: str, task: str, seed: int) -> Any:
    """Return an unfitted model of scikit-learn, with its preprocessing."""
    from sklearn import ensemble, linear_model
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    regression = task == "regression"
    if method == "boosting":
        kind = ensemble.HistGradientBoostingRegressor if regression else ensemble.HistGradientBoostingClassifier
        return kind(categorical_features="from_dtype", random_state=seed)
    if method == "forest":
        kind = ensemble.RandomForestRegressor if regression else ensemble.RandomForestClassifier
        model = kind(random_state=seed)
    else:
        model = linear_model.Ridge() if regression else linear_model.LogisticRegression(max_iter=5000)
    numbers = [SimpleImputer(strategy="median"), *([StandardScaler()] if method == "linear" else [])]
    columns = make_column_transformer(
        (make_pipeline(*numbers), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(columns, model)


def catboost(x: pd.DataFrame, task: str, seed: int) -> Any:
    """Return an unfitted model of CatBoost."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostRegressor if task == "regression" else CatBoostClassifier
    categories = list(x.select_dtypes(exclude="number").columns)
    return kind(cat_features=categories, random_seed=seed, thread_count=1, verbose=0, allow_writing_files=False)


def pytabkit(task: str, seed: int) -> Any:
    """Return an unfitted RealMLP-TD-S of pytabkit."""
    import torch
    from pytabkit import RealMLP_TD_S_Classifier, RealMLP_TD_S_Regressor

    torch.set_num_threads(1)
    kind = RealMLP_TD_S_Regressor if task == "regression" else RealMLP_TD_S_Classifier
    return kind(device="cpu", random_state=seed, n_threads=1, verbosity=0)


def fit_pytabkit(model: Any, x: pd.DataFrame, y: np.ndarray, is_val: np.ndarray) -> None:
    """Fit RealMLP-TD-S to the training rows, and let it choose its epoch with the validation rows."""
    train, val = np.flatnonzero(~is_val), np.flatnonzero(is_val)
    categories = list(x.select_dtypes(exclude="number").columns)
    model.fit(x.iloc[train], y[train], X_val=x.iloc[val], y_val=y[val], cat_col_names=categories)


def score(model: Any, x: pd.DataFrame, y: np.ndarray, task: str) -> float:
    """Return the accuracy or R2 of a fitted model."""
    from sklearn.metrics import accuracy_score, r2_score

    predicted = np.ravel(model.predict(x))
    return float(r2_score(y, predicted) if task == "regression" else accuracy_score(y, predicted))


def main(folder: str, split: str, task: str, target: str, seed: str, *methods: str) -> None:
    """Fit the models and print their scores."""
    x, y, rows = read(Path(folder), target, task)
    stages = pd.read_csv(split).sort_values("row")["stage"].to_numpy()[:rows]
    is_val = stages == "val"
    filled = x.fillna(x[:rows][~is_val].median(numeric_only=True))
    for method in methods:
        if method == "pytabkit":
            model, inputs = pytabkit(task, int(seed)), filled
        else:
            inputs = x
            model = catboost(x, task, int(seed)) if method == "catboost" else scikit_learn(method, task, int(seed))
        start = time.perf_counter()
        if method == "pytabkit":
            fit_pytabkit(model, filled, y, is_val)
        else:
            model.fit(x[:rows], y[:rows])
        seconds = time.perf_counter() - start
        found = score(model, inputs[rows:], y[rows:], task)
        print(json.dumps({"method": method, "score": found, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
