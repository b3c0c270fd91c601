"""Make the table of the lectures from the results that lectures.py has measured, and compare them with their bounds."""

import csv
import io
import json
import re
from pathlib import Path
from statistics import fmean, median

import yaml

from kindling.cli.conf import choice_file
from kindling.files import write_atomically

PROJECT = Path(__file__).parents[2]
CSV = PROJECT / "notebooks" / "lectures.csv"
PAGE = PROJECT / "notebooks" / "README.md"
FIELDS = ("run", "variant", "at", "value", "seconds")
FIRST, LAST = "<!-- table: python tests/benchmarks/lectures.py -->", "<!-- end of table -->"
COLUMNS = ("`experiment=lectures/`", "experiment", "the course's result", "our result, minimum to maximum")
HEAD = f"| {' | '.join((*COLUMNS, 'metric', 'repetitions', 'seconds'))} |\n" + "| --- " * 7 + "|"
OF = {"test": "test samples", "val": "validation samples", "train": "training samples"}
OVER = {"seed": "seeds", "data.data_seed": "data seeds", "data.split_seed": "splits"}
MAX_VARIANTS = 10  # with more variants only the best and the worst are shown


def rows() -> dict[str, dict]:
    """Return the rows of the table, by what follows experiment=lectures/."""
    return yaml.safe_load((PROJECT / "notebooks" / "lectures.yaml").read_text(encoding="utf-8"))


def read() -> list[dict]:
    """Return the measured results."""
    with CSV.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_run(records: list[dict]) -> dict[str, list[dict]]:
    """Return run -> its results, without runs that the table does not have."""
    known = rows()
    found: dict[str, list[dict]] = {}
    for record in records:
        if record["run"] in known:
            found.setdefault(record["run"], []).append(record)
    return found


def by_variant(records: list[dict]) -> dict[str, list]:
    """Return variant -> its values."""
    values: dict[str, list] = {}
    for record in records:
        values.setdefault(record["variant"], []).append(json.loads(record["value"]))
    return values


def shown(row: dict, records: list[dict]) -> str:
    """Format the minimum and maximum of every variant or, if there are many, of the best and the worst."""
    values = by_variant(records)
    if len(values) > MAX_VARIANTS:
        best, *_, worst = sorted(values, key=lambda variant: fmean(values[variant]), reverse="loss" not in row["show"])
        values = {f"best, {best}": values[best], f"worst, {worst}": values[worst]}
    values = {re.sub(r"\d+\.\d{5,}", lambda m: f"{float(m[0]):.3g}", name): found for name, found in values.items()}
    return "; ".join(f"{variant}: {_range(row, found)}".removeprefix(": ") for variant, found in values.items())


def _range(row: dict, values: list) -> str:
    if row["show"] == "learnt":
        return f"all correct in {sum(values)} of {len(values)}"
    if isinstance(values[0], str):
        return f"{values[0]}, {values.count(values[0])} of {len(values)}"
    if isinstance(values[0], list):
        return ", ".join(_between(row, list(part)) for part in zip(*values, strict=True))
    return _between(row, values) + (f", mean {_number(row, fmean(values))}" if row.get("mean") else "")


def _between(row: dict, values: list[float]) -> str:
    low, high = _number(row, min(values)), _number(row, max(values))
    return low if low == high else f"{low} to {high}"


def _number(row: dict, value: float) -> str:
    if row["show"].endswith("accuracy"):
        return f"{value:.{row.get('digits', 1)}%}".replace("%", " %")
    if isinstance(value, int) or value == 0:
        return str(value)
    return f"{value:.3f}" if 0.1 <= abs(value) < 100 else f"{value:.3g}"


def unmet(row: dict, records: list[dict]) -> list[str]:
    """Describe the values that are outside of the row's bounds."""
    values, missed = by_variant(records), []
    for variant, bound in row.get("must", {}).items():
        found = values["" if variant == "all" else variant]
        if row["show"] == "learnt":
            found = [sum(found)]
        if isinstance(bound, str):
            missed += [f"{value}, expected {bound}" for value in found if value != bound]
            continue
        for value in found:
            triples = zip(*(end if isinstance(end, list) else [end] for end in (value, *bound)), strict=True)
            missed += [
                f"{variant}: {v:.4g}, expected {low} to {high}" for v, low, high in triples if not low <= v <= high
            ]
    return missed


def table(records: dict[str, list[dict]]) -> str:
    """Format the rows as Markdown."""
    lines = [HEAD]
    for run, row in rows().items():
        own = records[run]
        what = "; ".join(text for text in (row["what"], row.get("note")) if text)
        number = len({record["at"] for record in own})
        over = f"{number} {OVER[row.get('over', 'seed')]}" if number > 1 else ""
        of = row.get("of", OF.get(row["show"].split("/")[0], row["show"]))
        of = f"{of}, {row['show'].split('/')[1]}" if "/" in row["show"] else of
        cells = [f"`{row.get('command', run)}`", what, row.get("course", ""), shown(row, own), of, over, _seconds(own)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _seconds(records: list[dict]) -> str:
    seconds = median(float(record["seconds"]) for record in records if record["seconds"])
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"


def write(records: dict[str, list[dict]]) -> list[str]:
    """Write the results and, once every row has some, the table and the first comments of the experiments.

    Files are written atomically, because the experiments may be read at the same time.

    Returns:
        The rows without results.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(record for run in rows() for record in records[run])
    write_atomically(CSV, text.getvalue())
    if missing := [run for run in rows() if not records[run]]:
        return missing
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(FIRST)
    write_atomically(PAGE, f"{before}{FIRST}\n{table(records)}\n{LAST}{rest.partition(LAST)[2]}")
    for run, row in rows().items():
        if file := choice_file("experiment", f"lectures/{run}"):
            text = file.read_text(encoding="utf-8")
            write_atomically(file, _commented(text, comment(run, row, records[run])))
    return []


def comment(run: str, row: dict, records: list[dict]) -> str:
    """Return the first comment of an experiment: its command, time and score."""
    score = f"{row.get('of') or row['show']} {shown(row, records)}"
    return f"# python train.py experiment=lectures/{run}: {_seconds(records)} s; {score}"


def _commented(text: str, line: str) -> str:
    return re.sub(r"^# python train\.py experiment=.*$", lambda _: line, text, count=1, flags=re.MULTILINE)
