"""Names of columns are text, whatever Hydra and YAML make of what was typed."""

import pytest
from conftest import compose_config
from omegaconf import OmegaConf

from kindling import UserError
from kindling.cli.build import build
from kindling.data.tabular import Table

HEADER = ["town", "2019", "2020", "007", "1.50", "true", "null", "1e3", "2020-01-01", "last"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    rows = [",".join(str(i + j) for j in range(len(HEADER) - 1)) + f",{i % 2}\n" for i in range(6)]
    path.write_text(", ".join(HEADER) + "\n" + "".join(rows))
    return str(path)


def columns_of(table, **arguments):
    return Table(table, **arguments).load().columns


@pytest.mark.parametrize("typed", HEADER)
def test_any_name_can_be_typed_as_target_and_in_drop_as_the_header_spells_it(table, typed):
    target = f"data.target={'[null]' if typed == 'null' else typed}"
    data = build(compose_config("data=csv", f"data.path={table}", target, "data.task=regression").data)
    assert data.load().columns == [name for name in HEADER if name != typed]
    other = "town" if typed == "last" else "last"
    words = ["data=csv", f"data.path={table}", f"data.target={other}", f"data.drop=[{typed}]"]
    assert typed not in build(compose_config(*words).data).load().columns


def test_a_yaml_file_s_yes_and_no_are_names_too(tmp_path):
    (tmp_path / "t.csv").write_text("yes,off,y\n1,2,0\n2,1,1\n3,5,0\n")
    given = OmegaConf.to_container(OmegaConf.create("{target: yes, drop: [off]}"))
    assert columns_of(str(tmp_path / "t.csv"), **given) == ["y"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": []}, r"data\.target=\[\] names no column: name one, or leave it out"),
        ({"target": {}}, r"data\.target=\{\} is no column: give a name, or a list of names"),
        ({"target": [["last"]]}, "is no column: give a name, or a list of names"),
        ({"target": 2021}, "has no column '2021'; its columns: town, 2019, .* Did you mean '2020'"),
        ({"target": "Last"}, "has no column 'Last'.* Did you mean 'last'"),
        ({"target": False}, "has no column 'false'"),
        ({"target": ["last", "last"]}, "data.target names the column 'last' twice"),
        ({"target": [2019, 2020], "task": "binary"}, r"data\.task=binary wants one target, data\.target has 2"),
        ({"target": 2020, "drop": [2020]}, "data.drop names '2020', which is the target"),
        ({"target": "last", "drop": [2019, "2019"]}, "data.drop names the column '2019' twice"),
        ({"target": 2020, "zero_is_missing": [2020]}, "data.zero_is_missing names '2020', which is the target"),
        ({"target": "last", "drop": "nam"}, "has no column 'nam'"),
        ({}, r"has a column 'null', and data\.target=null means the last one"),
        ({"target": "last", "drop": HEADER[:-1]}, "has no column besides last: nothing to predict from"),
        ({"target": "last", "class_names": ["a", "a"]}, "data.class_names has 'a' twice"),
        ({"target": "last", "class_names": [True, False]}, "data.class_names has true, a value of YAML and not a name"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(table, arguments, message):
    with pytest.raises(UserError, match=message):
        Table(table, **arguments).load()


def test_a_number_that_may_be_two_names_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("7,007,y\n1,2,0\n2,1,1\n")
    with pytest.raises(UserError, match=r"data\.drop=7 may be '7' or '007': quote the name"):
        columns_of(str(tmp_path / "t.csv"), target="y", drop=[7])
    assert columns_of(str(tmp_path / "t.csv"), target="y", drop=["007"]) == ["7"]


def test_one_name_need_not_be_a_list_and_null_is_none(table):
    assert "town" not in columns_of(table, target="last", drop="town", zero_is_missing=None)
    assert "town" in columns_of(table, target="last", drop=None)


def test_every_argument_of_a_table_is_typed_without_a_plus(table):
    words = ["data.test_path=t", "data.class_names=[a,b]", "data.zero_is_missing=[town]", "data.missing=[?,-999,n/a]"]
    for name in ("csv", "diabetes", "ring"):
        cfg = compose_config(f"data={name}", f"data.path={table}", *words)
        assert (cfg.data.test_path, cfg.data.class_names, cfg.data.missing) == ("t", ["a", "b"], ["?", -999, "n/a"])
