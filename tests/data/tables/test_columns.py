"""Column names given on the command line or in YAML match the header, even if they are parsed as other types."""

import pytest
from conftest import compose_config
from omegaconf import OmegaConf

from kindling import UserError
from kindling.cli.build import build
from kindling.data.tables.table import Table

HEADER = ["town", "2019", "2020", "007", "1.50", "true", "null", "1e3", "2020-01-01", "last"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    rows = [",".join(str(i + j) for j in range(len(HEADER) - 1)) + f",{i % 2}\n" for i in range(6)]
    path.write_text(", ".join(HEADER) + "\n" + "".join(rows))
    return str(path)


def columns_of(table, **arguments):
    return Table(table, **arguments).load().columns


@pytest.mark.parametrize("name", HEADER)
def test_any_name_in_the_header_can_be_given_as_target_and_in_drop(table, name):
    target = f"data.target={'[null]' if name == 'null' else name}"
    data = build(compose_config("data=csv", f"data.path={table}", target, "data.task=regression").data)
    assert data.load().columns == [other for other in HEADER if other != name]
    other = "town" if name == "last" else "last"
    overrides = ["data=csv", f"data.path={table}", f"data.target={other}", f"data.drop=[{name}]"]
    assert name not in build(compose_config(*overrides).data).load().columns


def test_yes_and_no_in_a_yaml_file_are_names_too(tmp_path):
    (tmp_path / "t.csv").write_text("yes,off,y\n1,2,0\n2,1,1\n3,5,0\n")
    given = OmegaConf.to_container(OmegaConf.create("{target: yes, drop: [off]}"))
    assert columns_of(str(tmp_path / "t.csv"), **given) == ["y"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": []}, r"data\.target=\[\] names no column: name one, or remove it"),
        ({"target": {}}, r"data\.target=\{\} is not a column: give a name or a list of names"),
        ({"target": [["last"]]}, "is not a column: give a name or a list of names"),
        ({"target": 2021}, "has no column '2021'; its columns: town, 2019, .* Did you mean '2020'"),
        ({"target": "Last"}, "has no column 'Last'.* Did you mean 'last'"),
        ({"target": False}, "has no column 'false'"),
        ({"target": ["last", "last"]}, "data.target names the column 'last' twice"),
        ({"target": [2019, 2020], "task": "binary"}, r"data\.task=binary needs one target, but data\.target has 2"),
        ({"target": 2020, "drop": [2020]}, "data.drop names '2020', which is the target"),
        ({"target": "last", "drop": [2019, "2019"]}, "data.drop names the column '2019' twice"),
        ({"target": 2020, "zero_is_missing": [2020]}, "data.zero_is_missing names '2020', which is the target"),
        ({"target": "last", "drop": "nam"}, "has no column 'nam'"),
        ({}, r"has a column 'null', but data\.target=null means the last column"),
        ({"target": "last", "drop": HEADER[:-1]}, "has no column besides last, so there are no inputs"),
        ({"target": "last", "class_names": ["a", "a"]}, "data.class_names has 'a' twice"),
        (
            {"target": "last", "class_names": [True, False]},
            "data.class_names has true, which is a YAML value and not a name",
        ),
    ],
)
def test_invalid_columns_are_rejected(table, arguments, message):
    with pytest.raises(UserError, match=message):
        Table(table, **arguments).load()


def test_a_number_that_matches_two_names_is_rejected(tmp_path):
    (tmp_path / "t.csv").write_text("7,007,y\n1,2,0\n2,1,1\n")
    with pytest.raises(UserError, match=r"data\.drop=7 could be '7' or '007': quote the name"):
        columns_of(str(tmp_path / "t.csv"), target="y", drop=[7])
    assert columns_of(str(tmp_path / "t.csv"), target="y", drop=["007"]) == ["7"]


def test_a_single_name_needs_no_list_and_null_means_none(table):
    assert "town" not in columns_of(table, target="last", drop="town", zero_is_missing=None)
    assert "town" in columns_of(table, target="last", drop=None)


def test_every_argument_of_a_table_can_be_overridden_without_a_plus(table):
    overrides = [
        "data.test_path=t",
        "data.class_names=[a,b]",
        "data.zero_is_missing=[town]",
        "data.missing=[?,-999,n/a]",
    ]
    for name in ("csv", "diabetes", "ring"):
        cfg = compose_config(f"data={name}", f"data.path={table}", *overrides)
        assert (cfg.data.test_path, cfg.data.class_names, cfg.data.missing) == ("t", ["a", "b"], ["?", -999, "n/a"])
