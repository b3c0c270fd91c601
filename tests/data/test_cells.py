"""Cells are numbers, missing values or labels, depending on the whole column."""

import pytest
import torch

from kindling import UserError
from kindling.data.tables.table import Table


@pytest.fixture
def load(tmp_path):
    def load(content: str, test: str | None = None, **arguments):
        (tmp_path / "t.csv").write_bytes(content.encode() if isinstance(content, str) else content)
        if test:
            (tmp_path / "test.csv").write_text(test)
            arguments["test_path"] = str(tmp_path / "test.csv")
        return Table(str(tmp_path / "t.csv"), **arguments).load()

    return load


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("people;rate;y\n999;0,5;0\n1.000;1,5;1\n1.234.567,5;2;0\n", [[999, 0.5], [1000, 1.5], [1234567.5, 2]]),
        ("a,y\n" + '"1,234",0\n"1,234,567.5",1\n', [[1234], [1234567.5]]),
        ("a,y\n" + '"1,5",0\n"0,125",1\n', [[1.5], [0.125]]),
        ("a;y\n0.125;0\n1.000;1\n", [[0.125], [1.0]]),
        ("a,y\n 1 ,0\n  2,1\n", [[1], [2]]),
        ("a,y\ntrue,0\nFALSE,1\nTrue,0\n", [[1], [0], [1]]),
        ("a|y\n1|0\n2|1\n", [[1], [2]]),
        ("sep=;\na;y\n1;0\n2;1\n", [[1], [2]]),
        ("# made by a tool, v2, today\n#\na,y\n1,0\n2,1\n", [[1], [2]]),
        ("#,y\n1,0\n2,1\n", [[1], [2]]),
        ("a,y\n1,0\n   \n2,1\n", [[1], [2]]),
    ],
)
def test_numbers_are_read_in_various_notations(load, content, expected):
    assert load(content, target="y").x.tolist() == expected


def test_decimal_commas_are_detected_in_any_row_and_apply_to_the_test_file(load):
    train = "a;y\n" + "3;1\n" * 1500 + "1,5;0\n"
    examples = load(train, test="a;y\n1.000;0\n2;1\n")
    assert (examples.x[-1].item(), examples.test[0].tolist()) == (1.5, [[1000.0], [2.0]])


ROWS = "".join(f"{i},{100 + i % 69}\n" for i in range(149))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a;b;y\n1.5;0,5;0\n2;1;1\n", r"has text in column 'a', line 2: '1\.5', in a file with decimal commas"),
        ("a,price\n" + ROWS + "3,?\n", r"has '\?' in the target 'price', line 151, where 149 of 150 cells are numbers"),
        ("a,price\n" + ROWS + "3,12 EUR\n", "has '12 EUR' in the target 'price', line 151"),
        ("a,y\n" + "1,0\n2,1\n" * 20 + "3,l\n", "has 'l' in the target 'y', line 42, where 40 of 41 cells are numbers"),
        ("a,y\n" + "1,0\n2,1\n" * 20 + "3,NA\n" * 9, "has 'NA' in the target 'y', line 42"),
        ("a,b,y\n1,2,0\n5%,1,1\n3,1,0\n", r"column 'a', line 3: '5%'.*data\.missing=\[\"5%\"\].*data\.drop=\[a\]"),
        ("a,y\n$1,0\n$2,1\n", r"has numbers with '\$' in column 'a', e.g. '\$1': write them"),
        (
            "d,y\n2020-01-01,0\n2020-01-02,1\nx,1\n",
            "has 'x' in column 'd', line 4, not a date in the format YYYY-MM-DD",
        ),
        ("a,y\n1e300,0\n1,1\n", r"has 1e\+300, which is too large, in column 'a', line 2"),
        ('a,y\n"1\n2",0\n3,1\n', r"column 'a', line 3"),
        ("5.1,3.5,setosa\n" + "5.1,3.5,setosa\n4.9,3,virginica\n" * 5, r"begins with a row \(5\.1, 3\.5, setosa\)"),
        ("a,b,y\n1,2,0\n1,2\n1,3,1\n", "has 2 fields in line 3, 3 in the first: correct that line"),
        ("a,b,y\n1,2,0\n# a note\n1,3,1\n", "has 1 field in line 3, 3 in the first: delete this comment"),
        (b"\xef\xbb\xbf", "is empty: expected a CSV with a header line and rows"),
        ("a,y\n" + "x" * 200_000 + ",0\n1,1\n", "column 'a', line 2: 'x{50}...'. A number is needed"),
        ("a,y\n1,z\n2," + "x" * 200_000 + "\n3,\n4,z\n", "has no value in the target 'y', line 4"),
        (" a, a ,y\n1,2,0\n", "has two columns 'a'"),
    ],
)
def test_an_invalid_cell_or_line_is_named(load, content, message):
    with pytest.raises(UserError, match=message):
        load(content)


def test_a_header_may_be_longer_than_64_kib(load):
    names = [f"a_rather_long_name_{i:080}" for i in range(800)]
    examples = load(",".join([*names, "y"]) + "\n" + "".join(",".join(["1"] * 800) + f",{i}\n" for i in range(2)))
    assert examples.columns == names


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["APAC", "EU", "NA"], ["APAC", "EU", "NA"]),
        (["None", "mild", "severe"], ["None", "mild", "severe"]),
        (["null", "n/a"], ["n/a", "null"]),
        (["yes", "yes ", " no"], ["no", "yes"]),
        (["true", "false"], ["false", "true"]),
        (["True", "TRUE", "false"], ["false", "TRUE"]),
        (["007", "010"], ["007", "010"]),
        (["1.0", "0.0"], ["0.0", "1.0"]),
        (["10", "9"], ["9", "10"]),
        (["1", "2", "3", "3a"], ["1", "2", "3", "3a"]),
    ],
)
def test_labels_keep_their_spelling_in_the_file(load, values, names):
    assert load("a,y\n" + "".join(f"1,{value}\n" for value in values * 2), target="y").class_names == names


def test_the_test_file_is_read_with_the_types_of_the_training_file(load):
    train = "a,y\n" + "1,1\n2,2\n3,3\n4,3a\n" * 10
    assert load(train, test="a,y\n5,2\n6,1\n").test[1].tolist() == [1, 0]
    assert load("a,y\n1,1\n2,0\n", test="a,y\n1,1.0\n2,0.0\n").test[1].tolist() == [[1.0], [0.0]]
    with pytest.raises(UserError, match="has '2' in the target 'y', line 3: the training data has no such class"):
        load("a,y\n1,1\n2,0\n", test="a,y\n1,1\n2,2\n")


def test_labels_that_only_differ_in_case_are_logged(load, caplog):
    assert load("a,y\n1,Yes\n2,yes\n3,no\n").class_names == ["Yes", "no", "yes"]
    assert "has Yes and yes in y: they are different classes" in caplog.text


@pytest.mark.parametrize(
    ("rows", "filled"),
    [
        ("x,1,no\n,2,yes\ny,,no\nx,4,yes\n", "the mean of the training samples in numbers, and by zeros in categories"),
        ("x,1,no\n,2,yes\ny,3,no\nx,4,yes\n", "zeros"),
        ("x,1,no\ny,,yes\ny,3,no\nx,4,yes\n", "the mean of the training samples"),
    ],
)
def test_the_log_says_what_replaces_missing_values(load, caplog, rows, filled):
    with caplog.at_level("INFO", "kindling"):
        load("a,b,y\n" + rows)
    assert f": replaced by {filled}\n" in caplog.text


def test_missing_values_are_empty_cells_common_markers_among_numbers_and_given_values(load, caplog):
    content = "a,b,y\n-999,2,no\n1,-999.0,yes\nNA,?,no\n,4,yes\n"
    with pytest.raises(UserError, match=r"column 'b', line 4: '\?'.*data\.missing=\[\"\?\"\]"):
        load(content)
    with caplog.at_level("INFO", "kindling"):
        x = load(content, missing=[-999, "?"]).x
    assert x.isnan().tolist() == [[True, False], [False, True], [True, True], [True, False]]
    assert "has 5 missing values in a, b: replaced by the mean of the training samples" in caplog.text
    with pytest.raises(UserError, match="has no value in the target 'y', line 3"):
        load(content, missing=[-999, "?", "yes"])


def test_a_number_given_as_missing_is_also_missing_among_texts(load):
    x = load('a,y\n"1,000",0\n"-9",1\n"-9.0",0\n', missing=[-9]).x
    assert torch.equal(x.isnan(), torch.tensor([[False], [True], [True]]))
    assert load("a,y\n1,0\n-9,1\n-9.0,0\n", missing=["-9", None, True]).x.isnan().tolist() == [[False], [True], [True]]


@pytest.mark.parametrize("cell", ["{}%", "{}.5 EUR", "2024-01-{}", "1.{}00.000"])
def test_a_target_with_mostly_distinct_texts_is_rejected(tmp_path, cell):
    rows = "\n".join(f"{i},{cell.format(10 + i % 55)}" for i in range(60))
    (tmp_path / "t.csv").write_text(f"a,y\n{rows}\n", encoding="utf-8")
    with pytest.raises(UserError, match="has 55 distinct texts in the target 'y', in 60 rows: names rather than"):
        Table(str(tmp_path / "t.csv")).setup()


def test_the_euro_sign_of_windows_is_read(tmp_path):
    (tmp_path / "t.csv").write_bytes("a,y\n1,5 €\n2,3\u2013\n".encode("cp1252") * 1)
    table = Table(str(tmp_path / "t.csv"), val_share=0, test_share=0)
    table.setup()
    assert table.examples.class_names == ["3\u2013", "5 €"]
