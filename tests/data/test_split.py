"""The split keeps the classes' shares, groups or the order in time, like scikit-learn's splitters."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

from kindling import UserError
from kindling.data.examples import Examples
from kindling.data.split import Split, log_absent_classes
from kindling.data.tables.table import Table


def split(examples, val=0.2, test=0.2, folds=None, fold=0, seed=0, stratify="auto"):
    return Split(val, test, folds, fold=fold, seed=seed, stratify=stratify).indices(examples)


def of_classes(counts, **options):
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(1))]
    return Examples(torch.zeros(len(y), 1), y, "multiclass", [str(k) for k in range(len(counts))], **options)


@pytest.mark.parametrize("seed", range(5))
def test_each_stage_has_the_same_share_of_each_class(seed):
    examples = of_classes([700, 250, 40, 10])
    found = split(examples, seed=seed)
    assert sorted(torch.cat(list(found.values())).tolist()) == list(range(1000))
    for stage, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        counts = torch.bincount(examples.y[found[stage]], minlength=4).tolist()
        assert np.abs(np.array(counts) - share * np.array([700, 250, 40, 10])).max() < 2
        assert sum(counts) == 1000 * share


def test_a_class_with_one_sample_is_trained_on():
    examples = of_classes([50, 50, 1, 2])
    for seed in range(20):
        assert torch.bincount(examples.y[split(examples, seed=seed)["train"]]).tolist()[2:] == [1, 2]


def test_a_class_without_a_validation_or_test_sample_is_named(caplog):
    caplog.set_level("INFO", logger="kindling")
    examples = of_classes([50, 50, 1, 2])
    log_absent_classes({stage: (examples.x[i], examples.y[i]) for stage, i in split(examples).items()}, examples)
    assert caplog.messages == [
        "no validation sample has one of the classes 2, 3",
        "no test sample has one of the classes 2, 3",
    ]
    caplog.clear()
    binary = Examples(torch.zeros(4, 1), torch.tensor([[0.0], [1.0], [0.0], [1.0]]), "binary")
    parts = {"train": [0, 1], "val": [2], "test": []}
    log_absent_classes({stage: (binary.x[i], binary.y[i]) for stage, i in parts.items()}, binary)
    assert caplog.messages == ["no validation sample has the class 1"]


def test_without_stratification_the_split_is_random():
    examples = of_classes([500, 500])
    counts = {int(torch.bincount(examples.y[split(examples, seed=s, stratify=False)["test"]])[0]) for s in range(9)}
    assert len(counts) > 4


def test_the_samples_of_a_group_stay_together():
    groups = torch.randint(40, (500,), generator=torch.Generator().manual_seed(0))
    examples = of_classes([250, 250], groups=groups)
    found = split(examples)
    parts = [set(groups[rows].tolist()) for rows in found.values()]
    assert len(parts[0] | parts[1] | parts[2]) == sum(map(len, parts))
    assert all(abs(len(found[stage]) - 100) <= 15 for stage in ("val", "test"))


def test_folds_of_groups_are_those_of_scikit_learn():
    groups = torch.repeat_interleave(torch.arange(6), torch.tensor([9, 7, 6, 5, 2, 1]))
    examples = Examples(torch.zeros(30, 1), torch.zeros(30, 1), "regression", groups=groups)
    found = [split(examples, test=0.0, folds=3, fold=fold)["val"] for fold in range(3)]
    expected = [val for _, val in GroupKFold(3).split(groups, groups=groups)]
    assert sorted(sorted(rows.tolist()) for rows in found) == sorted(sorted(rows.tolist()) for rows in expected)
    with pytest.raises(UserError, match=r"data\.folds=7 is invalid: there are only 6 groups"):
        split(examples, test=0.0, folds=7)


def test_the_latest_samples_are_for_testing_and_those_before_for_validation():
    times = torch.randperm(100, generator=torch.Generator().manual_seed(0)).double()
    found = split(of_classes([50, 50], times=times), val=0.1)
    assert {stage: sorted(times[rows].tolist()) for stage, rows in found.items()} == {
        "train": list(range(70)), "val": list(range(70, 80)), "test": list(range(80, 100)),
    }  # fmt: skip


def test_folds_in_time_are_those_of_scikit_learn():
    examples = Examples(torch.zeros(53, 1), torch.zeros(53, 1), "regression", times=torch.arange(53.0))
    expected = TimeSeriesSplit(4).split(np.zeros(53))
    for fold, (train, val) in enumerate(expected):
        found = split(examples, test=0.0, folds=4, fold=fold)
        assert (found["train"].tolist(), found["val"].tolist()) == (train.tolist(), val.tolist())


@pytest.fixture
def visits(tmp_path):
    rows = 120
    table = pd.DataFrame({
        "patient": [f"p{i % 24}" for i in range(rows)],
        "day": pd.date_range("2020-01-01", periods=rows).strftime("%d.%m.%Y"),
        "x": np.random.default_rng(0).normal(size=rows),
        "sick": [i % 2 for i in range(rows)],
    })  # fmt: skip
    table.to_csv(tmp_path / "t.csv", index=False)
    return table, str(tmp_path / "t.csv")


def test_a_table_is_split_by_the_column_of_data_group_which_is_no_input(visits):
    table, path = visits
    data = Table(path, "sick", group="patient")
    data.setup()
    assert "patient" not in data.examples.columns
    parts = [set(table.patient[rows.tolist()]) for rows in data.indices.values()]
    assert len(parts[0] | parts[1] | parts[2]) == 24 == sum(map(len, parts))


def test_a_table_is_split_by_the_date_in_data_time(visits):
    table, path = visits
    data = Table(path, "sick", time="day", drop=["day"])
    data.setup()
    days = pd.to_datetime(table.day, format="%d.%m.%Y")
    latest = {stage: days[rows.tolist()] for stage, rows in data.indices.items()}
    assert latest["train"].max() < latest["val"].min() < latest["val"].max() < latest["test"].min()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "x", "target": "x"}, "data.group names 'x', which is the target"),
        ({"group": "nobody"}, "has no column 'nobody'"),
        ({"time": "patient"}, "data.time=patient is not a column of numbers or dates"),
        ({"stratify": "yes"}, "data.stratify=yes is invalid: choose auto or false"),
        ({"missing_indicator": True}, "data.missing_indicator=True is invalid: choose auto or false"),
        ({"max_categories": 1}, "data.max_categories=1 is invalid"),
    ],
)
def test_unsuitable_options_are_rejected(visits, options, message):
    with pytest.raises(UserError, match=message):
        Table(visits[1], **{"target": "sick", **options}).setup()


def test_a_missing_time_is_named(visits, tmp_path):
    table, _ = visits
    table.loc[7, "day"] = None
    table.to_csv(tmp_path / "gap.csv", index=False)
    with pytest.raises(UserError, match=r"has no value in the column 'day' of data\.time, line 9: fill it in"):
        Table(str(tmp_path / "gap.csv"), "sick", time="day").setup()


@pytest.mark.parametrize("model", ["linear", "deep"])
def test_split_csv_has_the_stage_of_every_row(run, visits, tmp_path, model):
    table, path = visits
    run("data=csv", f"data.path={path}", "data.target=sick", f"model={model}", "epochs=1")
    found = pd.read_csv(tmp_path / "run" / "split.csv")
    assert found.row.tolist() == list(range(len(table)))
    assert found.stage.value_counts().to_dict() == {"train": 96, "val": 12, "test": 12}
    assert table.sick[found.row[found.stage == "test"]].sum() == 6  # stratified


def test_rows_without_a_target_are_left_out_on_request(run, visits, tmp_path, caplog):
    table, _ = visits
    table = table.astype({"sick": object, "x": object})
    table.loc[[3, 50, 119], "sick"] = None
    table.loc[60, "x"] = "?"
    table.to_csv(tmp_path / "gap.csv", index=False)
    path = str(tmp_path / "gap.csv")
    with pytest.raises(UserError, match="in the target 'sick', line 5, the first of 3 such rows: fill it in, or leave"):
        Table(path, "sick").setup()
    with pytest.raises(UserError, match=r"has text in column 'x', line 62: '\?'"):  # of the file, not of the rows left
        Table(path, "sick", drop_missing_target=True).setup()
    args = ["data=csv", f"data.path={path}", "data.target=sick", "data.drop_missing_target=true", "data.missing=['?']"]
    with caplog.at_level("INFO", "kindling"):
        run(*args, "model=linear", "epochs=1")
    assert "has 3 of 120 rows without a target, which are not used" in caplog.text
    found = pd.read_csv(tmp_path / "run" / "split.csv")
    assert found.row.tolist() == [row for row in range(120) if row not in (3, 50, 119)]


def test_rows_of_one_time_stay_together():
    times = torch.arange(100).div(7, rounding_mode="floor").double()
    found = split(of_classes([50, 50], times=times), val=0.1)
    parts = [set(times[rows].tolist()) for rows in found.values()]
    assert len(parts[0] | parts[1] | parts[2]) == sum(map(len, parts)) == 15
