"""The kind of each column is recognized: each odd column becomes the inputs named, is left out, or is rejected."""

import random
import re

import pytest
import torch

from kindling import UserError
from kindling.data.tables.table import Table

ROWS = 60
DRAW = random.Random(0)


def cycle(*cells: str) -> list[str]:
    return [cells[i % len(cells)] for i in range(ROWS)]


def each(pattern: str) -> list[str]:
    return [pattern.format(i=i, month=i % 12 + 1, day=i % 28 + 1, hour=i % 24) for i in range(ROWS)]


NUMBERS = [f"{DRAW.gauss(0, 1):.3f}" for _ in range(ROWS)]
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs"]
DATE = ["c year", "c month", "c weekday", "c days"]

ENCODED = {
    "yes or no": (cycle("yes", "no"), ["c=yes"]),
    "several spellings of true": (cycle("true", "False", "TRUE"), ["c=true"]),
    "booleans with gaps": (cycle("true", "false", ""), ["c=true"]),
    "t and f": (cycle("t", "f"), ["c=t"]),
    "on and off, and NA": (cycle("on", "off", "NA"), ["c=on"]),
    "0 and 1": (cycle("0", "1"), ["c"]),
    "zip codes with a suffix": (cycle("12345-6789", "12345-1111"), ["c=12345-6789"]),
    "a counter that starts at 5": ([str(i + 5) for i in range(ROWS)], ["c"]),
    "months of two digits": (cycle("01", "02", "12"), ["c"]),
    "years": (cycle("2019", "2020", "2021"), ["c"]),
    "yyyymmdd": (cycle("20200131", "20200201"), ["c"]),
    "seconds since 1970": ([str(1577836800 + i * 86400 % 7) for i in range(ROWS)], ["c"]),
    "integers with few values": (cycle("1", "2", "3", "4"), ["c"]),
    "scientific notation": (cycle("1e-3", "2E5"), ["c"]),
    "plus signs": (cycle("+5", "+7"), ["c"]),
    "thousands with commas": (cycle("1,234", "12,345"), ["c"]),
    "thousands with no-break spaces": (cycle("1\u00a0234", "2\u00a0345"), ["c"]),
    "thousands with apostrophes": (cycle("1'234", "2'345"), ["c"]),
    "a typographic minus": (cycle("\u22121", "\u22122"), ["c"]),
    "numbers with gaps": (cycle("1.5", "nan", "2.5"), ["c", "c missing"]),
    "one number, or none": (cycle("3", ""), ["c", "c missing"]),
    "one text, or none": (cycle("x", ""), ["c=x"]),
    "texts and NA": (cycle("a", "NA", "b"), ["c=b"]),
    "three categories": (cycle("red", "green", "blue"), ["c=blue", "c=green", "c=red"]),
    "different cases": (cycle("Red", "red", "BLUE"), ["c=BLUE", "c=Red", "c=red"]),
    "trailing spaces": (cycle("a ", "a", " b"), ["c=b"]),
    "ordinals": (cycle("1st", "2nd", "3rd"), ["c=1st", "c=2nd", "c=3rd"]),
    "quarters": (cycle("Q1", "Q2", "Q3", "Q4"), ["c=Q1", "c=Q2", "c=Q3", "c=Q4"]),
    "quarters of years": (cycle("2020Q1", "2020Q2"), ["c=2020Q2"]),
    "two doses": (cycle("10 mg", "20 mg"), ["c=20 mg"]),
    "grades, mostly letters": (cycle("1", "A", "B", "C"), ["c=1", "c=A", "c=B", "c=C"]),
    "booleans and maybe": (cycle("true", "false", "maybe"), ["c=false", "c=maybe", "c=true"]),
    "Roman numerals": (cycle("I", "II", "III"), ["c=I", "c=II", "c=III"]),
    "hexadecimal": (cycle("0x1F", "0x2A"), ["c=0x2A"]),
    "underscores": (cycle("1_000", "2_000"), ["c=2_000"]),
    "fractions": (cycle("1/2", "3/4"), ["c=3/4"]),
    "ranges": (cycle("10-20", "20-30"), ["c=20-30"]),
    "intervals": (cycle("[0, 10)", "[10, 20)"), ["c=[10, 20)"]),
    "versions": (cycle("1.2.3", "1.10.0"), ["c=1.2.3"]),
    "tags": (cycle("a;b", "b;c", "a"), ["c=a", "c=a;b", "c=b;c"]),
    "commas in quotes": (cycle("a,b", "c"), ["c=c"]),
    "quotes in quotes": (cycle('say "hi"', "x"), ["c=x"]),
    "line breaks in quotes": (cycle("a\nb", "c"), ["c=c"]),
    "umlauts": (cycle("ä", "é", "ü"), ["c=ä", "c=é", "c=ü"]),
    "emoji": (cycle("\U0001f600", "\U0001f389"), ["c=\U0001f600"]),
    "right to left": (
        cycle("\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627"),
        ["c=\u0645\u0631\u062d\u0628\u0627"],
    ),
    "formulas": (cycle("=1+1", "=2+2"), ["c==2+2"]),
    "HTML": (cycle("<b>x</b>", "<i>x</i>"), ["c=<i>x</i>"]),
    "JSON": (cycle('{"a": 1}', '{"a": 2}'), ['c={"a": 2}']),
    "long texts": (cycle("x" * 5000, "y" * 5000), ["c=" + "y" * 50 + "..."]),
    "few sentences": (cycle("a b c d e f g", "z z z z z z z"), ["c=z z z z z z z"]),
    "URLs": (cycle("http://a.b/c", "http://a.b/d"), ["c=http://a.b/d"]),
    "dates": (each("2020-{month:02}-{day:02}"), DATE),
    "dates with a time": (each("2020-{month:02}-{day:02}T{hour:02}:00:00"), DATE),
    "dates with a time in UTC": (each("2020-{month:02}-{day:02} {hour:02}:00:00Z"), DATE),
    "dates with offsets": (cycle("2020-01-01T00:00:00+02:00", "2020-06-01T00:00:00-05:00"), DATE),
    "dates with milliseconds": (cycle("2020-01-01 00:00:00.123", "2020-06-01 00:00:01"), DATE),
    "dates without padding": (cycle("2020-1-1", "2020-10-3"), DATE),
    "months": (cycle("2020-01", "2020-02"), DATE),
    "dates with slashes": (cycle("2020/01/31", "2020/02/01"), DATE),
    "dates with dots": (cycle("31.12.2020", "01.02.2021"), DATE),
    "the day first": (cycle("31/12/2020", "01/02/2021"), DATE),
    "the month first": (cycle("12/31/2020", "01/02/2021"), DATE),
    "two-digit years": (cycle("31/12/20", "01/02/21"), DATE),
    "names of months": (cycle("3 Jan 2020", "14 Feb 2021"), DATE),
    "long names of months": (cycle("3 January 2020", "14 May 2021"), DATE),
    "American names of months": (cycle("Jan 3, 2020", "Feb 14, 2021"), DATE),
    "Oracle's dates": (cycle("03-Jan-20", "14-Feb-21"), DATE),
    "a.m. and p.m.": (cycle("01/31/2020 10:00 PM", "02/01/2020 01:30 AM"), DATE),
    "the end of time": (cycle("9999-12-31", "2020-03-01"), DATE),
    "ambiguous dates that agree": (cycle("01/01/2021", "02/02/2021"), DATE),
    "dates with gaps": (cycle("2020-01-01", "", "2020-03-01"), [*DATE, "c missing"]),
    "American names of months without commas": (cycle("Jan 3 2020", "Feb 14 2021"), DATE),
    "times of day": (each("{hour:02}:{i:02}"), DATE),
}  # fmt: skip
LEFT_OUT = {
    "row names": (each("P{i:04}"), "it identifies the rows, with 60 different texts in 60 cells"),
    "mail addresses": (each("u{i}@x.org"), "it identifies the rows"),
    "names of people": (each("Ann Lee {i}"), "it identifies the rows"),
    "hardware addresses": (each("00:1B:44:11:3A:{i:02X}"), "it identifies the rows"),
    "a counter from 0": (each("{i}"), "it counts the rows"),
    "a counter from 1": ([str(i + 1) for i in range(ROWS)], "it counts the rows"),
    "one text": (cycle("k"), "it has the same value in every row"),
    "one number": (cycle("3"), "it has the same value in every row"),
    "question marks": (cycle("?"), "it has the same value in every row"),
    "empty cells": (cycle(""), "it has no values"),
    "blanks": (cycle("  "), "it has no values"),
    "markers of missing values": (cycle("NA", "N/A", "NaN", "null", "None"), "it has no values"),
}
REJECTED = {
    "question marks among numbers": (["?" if i % 9 == 0 else x for i, x in enumerate(NUMBERS)],
                                     r"text in column 'c', line 2: '\?'.*data\.missing=\[\"\?\"\]"),
    "numbers among question marks": (["?" if i % 3 else x for i, x in enumerate(NUMBERS)],
                                     r"line 3: '\?'.*data\.missing=\[\"\?\"\]"),
    "dashes among numbers": (["-" if i % 9 == 0 else x for i, x in enumerate(NUMBERS)], r"line 2: '-'"),
    "grades, mostly numbers": (cycle("1", "2", "3", "A", "B"), r"line 5: 'A'.*'data\.kinds={c: category}'"),
    "as many numbers as texts": (cycle("1", "2", "low", "high"), "line 4: 'low'"),
    "True among numbers": (cycle("True", "1", "0"), "line 2: 'True'"),
    "infinity": (["inf" if i == 5 else x for i, x in enumerate(NUMBERS)], "an infinite value in column 'c', line 7"),
    "an overflow": (
        ["1e400" if i == 5 else x for i, x in enumerate(NUMBERS)],
        "an infinite value in column 'c', line 7",
    ),
    "a huge number": (["1e308" if i == 5 else x for i, x in enumerate(NUMBERS)], r"1e\+308, which is too large"),
    "dollars": (cycle("$1.50", "$20"), r"numbers with '\$' in column 'c', e\.g\. '\$1\.50': write them as numbers"),
    "euros": (each("{i} €"), "numbers with '€'"),
    "percent": (cycle("10%", "20%"), "numbers with '%'"),
    "kilograms": (each("{i} kg"), "numbers with 'kg'"),
    "IP addresses": ([f"10.0.{i % 7}.{i % 5}" for i in range(ROWS)], "codes or ranges of digits"),
    "codes with leading zeros": (cycle("007", "008", "010"), r"leading zeros in column .c., e\.g\. .007.: if"),
    "telephone numbers": (each("+1-555-{i:04}"), "codes or ranges of digits"),
    "coordinates": (each("52.{i}, 13.{i}"), "codes or ranges of digits"),
    "sentences": ([" ".join(DRAW.choices(WORDS, k=9)) for _ in range(ROWS)], r"free text in column 'c'"),
    "ambiguous dates": (cycle("01/02/2021", "03/04/2021"), r"'data\.kinds={c: \"%d/%m/%Y\"}'"),
    "a text among dates": (cycle("2020-01-01", "2020-01-02", "unknown"), "'unknown' in column 'c', line 4, not a date"),
    "MySQL's zero date": (
        cycle("0000-00-00", "2020-03-01", "2020-03-02"),
        "'0000-00-00' in column 'c', line 2, not a date",
    ),
    "February 30th": (
        cycle("2020-02-30", "2020-03-01", "2020-03-02"),
        "'2020-02-30' in column 'c', line 2, not a date",
    ),
    "dates in an unknown format": (cycle("3rd of May 2020", "4th of May 2020"), "in an unknown format, such as"),
    "seasons": (cycle("2009-10", "2010-11", "2011-12", "2012-13"), "'2012-13' in column 'c', line 5, not a date"),
    "decimal commas beside points": (cycle("1,5", "2,25"), "in a file with decimal commas"),
}  # fmt: skip


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a column beside one of numbers, and returns the data set."""

    def write(cells: list[str], header: str = "c", **options: object) -> Table:
        quoted = ['"' + cell.replace('"', '""') + '"' if re.search('[,"\n]', cell) else cell for cell in cells]
        rows = "".join(f"{a},{c},{i % 2}\n" for i, (a, c) in enumerate(zip(NUMBERS, quoted, strict=True)))
        (tmp_path / "t.csv").write_text(f"a,{header},y\n{rows}", encoding="utf-8")
        path = str(tmp_path / "t.csv")
        return Table(path, "y", missing_indicator="auto", stratify="auto", **options)  # type: ignore[arg-type]

    return write


@pytest.mark.parametrize(("cells", "inputs"), ENCODED.values(), ids=ENCODED)
def test_a_column_becomes_the_inputs_that_fit_its_kind(table, cells, inputs):
    data = table(cells)
    data.setup()
    assert data.input_names[1:] == inputs
    assert all(x.isfinite().all() for x, _ in data.samples.values())
    assert data.samples["train"][0].shape[1] == 1 + len(inputs)


@pytest.mark.parametrize(("cells", "reason"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_column_without_information_is_left_out_with_the_reason(table, caplog, cells, reason):
    with caplog.at_level("INFO", "kindling"):
        data = table(cells)
        data.setup()
    assert data.input_names == ["a"]
    assert f"column 'c' is not used: {reason}" in caplog.text


@pytest.mark.parametrize(("cells", "message"), REJECTED.values(), ids=REJECTED)
def test_a_column_without_a_clear_kind_is_rejected_with_what_to_do(table, cells, message):
    with pytest.raises(UserError, match=message):
        table(cells).setup()


@pytest.mark.parametrize(
    ("cells", "kind", "inputs"),
    [
        (cycle("1", "2", "3"), "category", ["c=1", "c=2", "c=3"]),
        (cycle("7", "10", "7.0"), "category", ["c=10"]),  # 7 and 7.0 are the same number
        (each("{i}"), "number", ["c"]),
        (cycle("3"), "number", ["c"]),
        (cycle("1", "0", ""), "boolean", ["c=true"]),
        (cycle("20200131", "20200201"), "%Y%m%d", DATE),
        (cycle("01/02/2021", "03/04/2021"), "%d/%m/%Y", DATE),
        (cycle("2020-01-01", "2021-01-01"), "date", DATE),
        (cycle("2020-01-01", "2021-01-01"), "category", ["c=2021-01-01"]),
        (NUMBERS, "ignored", []),
        ([" ".join(DRAW.choices(WORDS, k=9)) for _ in range(ROWS)], "ignored", []),
    ],
)
def test_the_kind_of_a_column_can_be_set(table, cells, kind, inputs):
    data = table(cells, kinds={"c": kind})
    data.setup()
    assert data.input_names[1:] == inputs


@pytest.mark.parametrize(
    ("cells", "kinds", "message"),
    [
        (NUMBERS, {"d": "number"}, r"has no column 'd'; its columns: a, c, y"),
        (NUMBERS, {"c": "text"}, r"data\.kinds={c: text} is unknown: choose number,"),
        (NUMBERS, "category", r"data\.kinds=category is not a mapping: write"),
        (NUMBERS, {"y": "number"}, r"data\.kinds names 'y', which is the target"),
        (cycle("a", "b"), {"c": "number"}, "has text in column 'c', line 2: 'a'"),
        (cycle("a", "b"), {"c": "boolean"}, "has 'a' in column 'c': data.kinds says boolean"),
        (cycle("a", "b"), {"c": "date"}, "has no known format of dates in column 'c', e.g. 'a': give it, as in"),
        (cycle("31/12/2020"), {"c": "%Y"}, "has '31/12/2020' in column 'c', line 2, not a date in the format %Y"),
        (cycle(""), {"c": "category"}, "has no values in column 'c'"),
        (NUMBERS, {"a": "ignored", "c": "ignored"}, "has no column besides y, so there are no inputs"),
    ],
)  # fmt: skip
def test_an_unsuitable_kind_is_rejected(table, cells, kinds, message):
    with pytest.raises(UserError, match=message):
        table(cells, kinds=kinds).setup()


def test_an_identifier_is_recognized_by_its_name_if_its_numbers_are_unique(table):
    cells = [str(7000 + 13 * i) for i in range(ROWS)]
    for header, inputs in (("customer_id", []), ("income", ["income"]), ("Id", [])):
        data = table(cells, header)
        data.setup()
        assert data.input_names[1:] == inputs


def test_columns_without_a_name(table):
    data = table(NUMBERS, "")  # not the first one, so it is no index
    with pytest.raises(UserError, match="has no name for column 2 in its first line"):
        data.setup()
    data = table(cycle(""), "")  # as if every line ended in a comma
    data.setup()
    assert data.input_names == ["a"]


def test_short_tables_have_no_identifiers(tmp_path):
    (tmp_path / "t.csv").write_text("n,c,y\n1,x,0\n2,z,1\n3,w,0\n")
    data = Table(str(tmp_path / "t.csv"), "y", test_share=0.0, val_share=0.0)
    data.setup()
    assert data.input_names == ["n", "c=w", "c=x", "c=z"]


def test_a_counter_remains_if_there_is_no_other_input(tmp_path):
    (tmp_path / "t.csv").write_text("n,y\n" + "".join(f"{i},{i * i}\n" for i in range(60)))
    data = Table(str(tmp_path / "t.csv"), "y")
    data.setup()
    assert data.input_names == ["n"]
    torch.testing.assert_close(data.examples.x[:, 0], torch.arange(60.0, dtype=torch.float64))
