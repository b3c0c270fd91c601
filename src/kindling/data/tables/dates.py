"""Dates in the cells of a table."""

import re
from itertools import product

import numpy as np
import pandas as pd

from kindling import UserError
from kindling.data.tables.columns import as_kind

DAYS = (
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%B %d %Y",
)
AMBIGUOUS = ("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y")  # day or month first
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMATS = (
    "ISO8601", *(day + time for day, time in product((*DAYS, *AMBIGUOUS), TIMES)), *(time[1:] for time in TIMES[1:])
)  # fmt: skip
PLAUSIBLE = re.compile(
    r"\d{4}[-/]\d|\d{1,2}[./-]\d{1,2}[./-]\d{2}|\d[ -][A-Za-z]{3,9}[ -]\d|[A-Za-z]{3,9} \d{1,2},? \d|\d:\d\d"
)
UNUSUAL = '"%d of %B %Y"'
SAMPLE = 1_000  # distinct texts from which the format is detected
MONTH = re.compile(r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*\d{2}", re.IGNORECASE)


def to_days(texts: list[str], form: str) -> np.ndarray:
    """Return the days since 1970-01-01 (N,), with the time of day as a fraction, NaN for texts of another format.

    Times with a UTC offset are converted to UTC.

    Args:
        texts: N texts.
        form: a format of `strftime`, or "ISO8601".
    """
    parsed = pd.to_datetime(pd.Series(texts, dtype="str"), format=form, errors="coerce", utc=True)
    moments = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")  # nanoseconds would end in 2262
    return (moments - np.datetime64(0, "us")) / np.timedelta64(1, "D")


def readable(form: str) -> str:
    """Return a format as it is written in a message."""
    return "YYYY-MM-DD (ISO 8601)" if form == "ISO8601" else form


def date_format(texts: list[str], place: str, name: str) -> str | None:
    """Return the format of most of the texts, or None if most are not dates.

    Args:
        texts: distinct texts.
        place: the file and the column, for the error message.
        name: the column.

    Raises:
        UserError: the day and the month cannot be told apart, or the format is not known.
    """
    sample = texts[:: max(1, len(texts) // SAMPLE)]
    plausible, named = (
        2 * sum(pattern.search(text) is not None for text in sample) > len(sample) for pattern in (PLAUSIBLE, MONTH)
    )
    if not plausible and not named:
        return None
    found = {form: to_days(sample, form) for form in FORMATS}
    shares = {form: np.isfinite(days).mean() for form, days in found.items()}
    best = max(shares.values())
    if best <= 0.5:
        if named:
            raise UserError(
                f"{place} has dates in an unknown format, such as {sample[0]!r}: give it in the notation of strftime, "
                f"e.g. with {as_kind(name, UNUSUAL)}."
            )
        return None
    first, *others = [form for form, share in shares.items() if share == best]
    if other := next((form for form in others if not np.array_equal(found[first], found[form], equal_nan=True)), None):
        quoted = f'"{first}"'
        raise UserError(
            f"{place} has dates such as {sample[0]!r}, which could be {first} or {other}: choose one, e.g. with "
            f"{as_kind(name, quoted)}."
        )
    return first
