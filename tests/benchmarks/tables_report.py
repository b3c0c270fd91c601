"""The report of `tables.py`, as Markdown."""

import numpy as np
import pandas as pd

REFERENCE = "boosting"
RESAMPLES = 10_000


def line(cells: list) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown; its first column is text, the others are aligned to the right."""
    rows = [list(row) for row in table.itertuples(index=False)]
    rule = line(["---", *["---:"] * (table.shape[1] - 1)])
    return "\n".join([line(list(table.columns)), rule, *map(line, rows)])


def normalised(scores: pd.DataFrame, regression: pd.Series) -> pd.DataFrame:
    """Return (score - worst) / (best - worst) of each table; all methods get 1 if they are equally good."""
    clipped = scores.where(~regression, scores.clip(lower=0), axis=0)
    worst, best = clipped.min(axis=1), clipped.max(axis=1)
    return clipped.sub(worst, axis=0).div((best - worst).where(best > worst), axis=0).fillna(1.0)


def interval(differences: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean by a bootstrap over the tables."""
    picks = np.random.default_rng(0).integers(len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.percentile(differences[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def versus(scores: pd.DataFrame, method: str, other: str) -> str:
    """Return wins, ties and losses of a method against another."""
    if method == other or other not in scores:
        return ""
    difference = scores[method] - scores[other]
    return f"{(difference > 0).sum()} / {(difference == 0).sum()} / {(difference < 0).sum()}"


def summary(scores: pd.DataFrame, regression: pd.Series, seconds: pd.Series) -> pd.DataFrame:
    """Return one row per method, the best mean rank first."""
    ranks = scores.rank(axis=1, ascending=False).mean()
    points = normalised(scores, regression)
    lines = []
    for method in ranks.sort_values().index:
        cells = {"method": method, "mean rank": f"{ranks[method]:.2f}", "normalised": f"{points[method].mean():.3f}"}
        difference = (points[method] - points[REFERENCE]).to_numpy()
        low, high = interval(difference)
        cells[f"difference to {REFERENCE} (95 %)"] = f"{difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"
        for other in (REFERENCE, "old deep"):
            cells[f"wins / ties / losses against {other}"] = versus(scores, method, other)
        lines.append(cells | {"median s": f"{seconds[method]:.2f}"})
    return pd.DataFrame(lines)


def per_table(tables: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row per table, with the mean score of each method over the seeds."""
    shape = tables.set_index("table")[["rows", "columns", "categories", "task"]]
    rounded = scores.map(lambda value: "" if pd.isna(value) else f"{value:.3f}")
    return shape.join(rounded, how="inner").reset_index()


def comparison(scores: pd.DataFrame, seconds: pd.Series) -> str:
    """Return sentences about Kindling's RealMLP: beside pytabkit's and beside the earlier deep network."""
    ours = "kindling realmlp"
    points = (100 * (scores[ours] - scores["pytabkit"])).sort_values()
    low, high = interval(points.to_numpy())
    wins = (scores[ours] > scores["old deep"]).mean()
    each = ", ".join(f"{name} {value:+.1f}" for name, value in points.items())
    return (
        f"{ours} - pytabkit: {points.mean():+.2f} points (95 % interval {low:+.2f} to {high:+.2f}), median "
        f"{points.median():+.2f}; {seconds[ours]:.1f} s and {seconds['pytabkit']:.1f} s. By table: {each}.\n\n"
        f"{ours} is better than old deep on {wins:.0%} of the tables."
    )


def report(tables: pd.DataFrame, results: pd.DataFrame) -> str:
    """Return the report; the summary counts the tables for which all methods have the same seeds."""
    grouped = results.groupby(["table", "method"])
    scores = grouped["score"].mean().round(9).unstack()  # rounded, so that equal scores are ties
    counts = grouped.size().unstack()
    complete = scores[counts.notna().all(axis=1) & (counts.nunique(axis=1) == 1)]
    parts = [markdown(per_table(tables, scores))]
    if complete.empty or REFERENCE not in complete:
        return "\n\n".join([*parts, "No table is complete yet."])
    regression = tables.set_index("table")["task"].eq("regression").reindex(complete.index)
    used = results[results["table"].isin(complete.index)]
    seconds = used.groupby("method")["seconds"].median()
    for name, chosen in (
        ("all", complete),
        ("classes", complete[~regression]),
        ("regressions", complete[regression]),
        ("with categories", complete[complete.index.isin(tables.query("categories > 0")["table"])]),
    ):
        if len(chosen):
            part = markdown(summary(chosen, regression[chosen.index], seconds))
            parts.append(f"{len(chosen)} tables: {name}\n\n{part}")
    if {"kindling realmlp", "pytabkit", "old deep"} <= set(complete):
        parts.append(comparison(complete, seconds))
    return "\n\n".join(parts)
