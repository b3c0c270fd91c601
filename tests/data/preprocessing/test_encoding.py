"""Columns are encoded like by scikit-learn's transformers, from training samples alone, and any new table fits."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, RobustScaler, StandardScaler

from kindling import UserError
from kindling.data.examples import Column
from kindling.data.preprocessing.encoding import compact, encode, fit_encoding, input_names, kinds_of
from kindling.data.preprocessing.transforms import apply_transform, column_transform
from kindling.data.tables.csv_file import open_csv
from kindling.data.tables.inputs import Inputs
from kindling.data.tables.table import Table

NAN = math.nan


def encoded(cells, column=None, new=None, max_categories=100, missing_indicator=True):
    """Return the names and the values of the inputs, fitted to `cells` and applied to `new`."""
    kinds = {"c": column} if column else {}
    x = torch.tensor(cells, dtype=torch.float64)[:, None]
    encoding = fit_encoding(x, ["c"], kinds, missing_indicator, max_categories)
    encoding = json.loads(json.dumps(encoding))  # plain data
    x = x if new is None else torch.tensor(new, dtype=torch.float64)[:, None]
    return input_names(encoding), encode(x, encoding).tolist()


def test_a_missing_number_becomes_the_median_and_is_marked():
    names, values = encoded([1.0, NAN, 2.0, 9.0])
    assert names == ["c", "c missing"]
    assert values == [[1, 0], [2, 1], [2, 0], [9, 0]]
    x = np.array([[1.0], [NAN], [2.0], [9.0]])
    assert (np.array(values) == SimpleImputer(strategy="median", add_indicator=True).fit_transform(x)).all()


def test_without_indicators_a_missing_number_becomes_the_mean():
    assert encoded([1.0, NAN, 2.0, 9.0], missing_indicator=False) == (["c"], [[1], [4], [2], [9]])


def test_a_number_that_is_missing_in_new_samples_only_becomes_the_median():
    assert encoded([1.0, 3.0, 9.0], new=[NAN]) == (["c"], [[3]])


def test_a_pair_of_values_is_one_input_of_minus_one_and_one():
    assert encoded([0, 1, NAN, -1], Column("category", ["no", "yes"])) == (["c=yes"], [[-1], [1], [0], [0]])


def test_several_values_are_one_hot():
    column = Column("category", ["a", "b", "c"])
    names, values = encoded([0, 1, 2, 1], column, new=[2, 0, NAN, -1])
    assert names == ["c=a", "c=b", "c=c"]
    fitted = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit([["a"], ["b"], ["c"], ["b"]])
    assert values == fitted.transform([["c"], ["a"], ["?"], ["??"]]).tolist()


def test_values_that_only_test_samples_have_are_unknown():
    names, values = encoded([0, 1, 2, 1], Column("category", ["a", "b", "c", "d"]), new=[3])
    assert names == ["c=a", "c=b", "c=c"]
    assert values == [[0, 0, 0]]


def test_the_rarest_values_share_an_input(caplog):
    column = Column("category", ["a", "b", "c", "d"])
    with caplog.at_level("INFO", "kindling"):
        names, values = encoded([0, 0, 1, 2, 2, 2, 3], column, max_categories=3, new=[0, 1, 2, 3, -1, NAN])
    assert names == ["c=a", "c=c", "c=other"]
    assert values == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert (
        "column 'c' has 4 values in the training samples: the 2 rarest share one input (data.max_categories=3)"
        in caplog.text
    )
    cells = np.array([["a"], ["a"], ["b"], ["c"], ["c"], ["c"], ["d"]])
    scikit_learn = OneHotEncoder(max_categories=3, sparse_output=False, handle_unknown="infrequent_if_exist").fit(cells)
    assert values[:5] == scikit_learn.transform([["a"], ["b"], ["c"], ["d"], ["?"]]).tolist()


def test_a_checkpoint_has_only_the_values_with_an_input_of_their_own():
    column = Column("category", [*"abcdef"])
    encoding = fit_encoding(torch.tensor([[5.0], [5], [1], [1], [0], [2]]), ["c"], {"c": column}, True, 3)
    stored = compact(encoding)
    assert kinds_of(stored) == {"c": Column("category", ["b", "f"], pooled=True, is_numeric=False)}
    assert input_names(stored) == input_names(encoding) == ["c=b", "c=f", "c=other"]
    codes, stored_codes = torch.tensor([[1.0], [5], [0], [4], [NAN]]), torch.tensor([[0.0], [1], [-1], [-1], [NAN]])
    assert torch.equal(encode(codes, encoding), encode(stored_codes, stored))


def test_codes_remain_texts_if_those_that_are_no_numbers_are_pooled():
    column = Column("category", ["0100", "100", "A"])
    encoding = fit_encoding(torch.tensor([[0.0], [0], [1], [1], [2]]), ["zip"], {"zip": column}, True, 2)
    assert not kinds_of(compact(encoding))["zip"].is_numeric
    assert kinds_of(compact(encoding))["zip"].key("0100") != kinds_of(compact(encoding))["zip"].key("100")


def test_dates_become_year_month_weekday_and_days():
    dates = pd.to_datetime(pd.Series(["2020-02-29", "2019-12-31 12:00", "1969-07-20", "2024-01-01"]), format="ISO8601")
    days = ((dates - pd.Timestamp(0)) / pd.Timedelta(days=1)).tolist()
    names, values = encoded(days, Column("date", format="ISO8601"))
    assert names == ["c year", "c month", "c weekday", "c days"]
    elapsed = (dates - dates.min()) / pd.Timedelta(days=1)
    expected = np.column_stack([dates.dt.year, dates.dt.month, dates.dt.day_of_week, elapsed])
    np.testing.assert_allclose(values, expected)


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_marks_of_categories_and_missing_values_are_not_scaled(scale):
    x = torch.tensor([[1.0, 0], [2, 1], [NAN, 2], [5, NAN]], dtype=torch.float64)
    encoding = fit_encoding(x, ["a", "c"], {"c": Column("category", ["r", "g", "b"])}, True, 100)
    scaled = apply_transform(x, column_transform(x, scale, encoding=encoding))
    assert scaled[:, 1:].tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]]
    if scale == "standard":
        numbers = StandardScaler().fit_transform([[1.0], [2], [2], [5]])
        torch.testing.assert_close(scaled[:, :1], torch.tensor(numbers).float())


def test_robust_scaling_bounds_an_outlier_and_leaves_the_others():
    x = torch.cat([torch.linspace(-1, 1, 101, dtype=torch.float64), torch.tensor([1e9], dtype=torch.float64)])[:, None]
    scaled = apply_transform(x, column_transform(x, "robust"))
    assert scaled.abs().max() <= 3
    plain = torch.from_numpy(RobustScaler().fit_transform(x.numpy()))
    torch.testing.assert_close(scaled, (plain / (1 + (plain / 3) ** 2).sqrt()).float())


def test_robust_scaling_of_a_rare_value_and_of_a_constant():
    x = torch.zeros(100, 2, dtype=torch.float64)
    x[0, 0], x[:, 1] = 4.0, 7.0
    scaled = apply_transform(x, column_transform(x, "robust"))
    assert scaled[0, 0].item() == pytest.approx(2 / math.sqrt(1 + (2 / 3) ** 2))  # 4 over half the range
    assert scaled[1:, 0].tolist() == [0] * 99
    assert scaled[:, 1].tolist() == [0] * 100


def test_robust_scaling_of_images_is_rejected():
    with pytest.raises(UserError, match="scale=robust only works with tables"):
        column_transform(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), "robust")


COLUMNS = {
    "number": st.one_of(st.none(), st.floats(-1e100, 1e100), st.integers(-(10**18), 10**18)),
    "category": st.one_of(st.none(), st.sampled_from(["a", "b", "c", "NA", " a", "ü", '"', "1", "x" * 99])),
    "boolean": st.one_of(st.none(), st.sampled_from(["true", "FALSE", "1", "0"])),
    "date": st.one_of(st.none(), st.dates().map(str)),
}


@st.composite
def tables(draw):
    """Return a table for training, and one with the same columns to predict."""
    kinds = draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=4))
    names = [f"{kind} {i}" for i, kind in enumerate(kinds)]
    frames = []
    for rows in (draw(st.integers(4, 30)), draw(st.integers(1, 8))):
        cells = {name: draw(st.lists(COLUMNS[kind], min_size=rows, max_size=rows))
                 for name, kind in zip(names, kinds, strict=True)}  # fmt: skip
        frames.append(pd.DataFrame(cells, dtype=object))
    return dict(zip(names, kinds, strict=True)), *frames


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tables(), st.sampled_from(["standard", "minmax", "robust", "none"]), st.sampled_from(["auto", False]))
def test_any_table_with_the_same_columns_becomes_finite_inputs_of_the_same_width(tmp_path, drawn, scale, indicator):
    kinds, train, new = drawn
    kinds = {name: kind for name, kind in kinds.items() if train[name].map(lambda v: v not in (None, "NA")).any()}
    if not kinds:
        return
    train = train.assign(y=[i % 2 for i in range(len(train))])
    train.to_csv(tmp_path / "train.csv", index=False)
    new.to_csv(tmp_path / "new.csv", index=False)
    options = {"scale": scale, "missing_indicator": indicator, "max_categories": 3}
    data = Table(str(tmp_path / "train.csv"), "y", "binary", kinds=kinds, test_share=0.0, val_share=0.2, **options)
    data.setup()
    source = open_csv(str(tmp_path / "new.csv"))
    inputs = Inputs(data.examples.columns, kinds_of(data.transform.get("encoding", [])), [], "mean")
    frame = source.read(inputs.columns, list(inputs.kinds))
    x = apply_transform(inputs.read(source, frame, may_be_empty=True), data.transform)
    assert x.shape == (len(new), len(data.input_names)) == (len(new), data.samples["train"][0].shape[1])
    assert x.isfinite().all()
    assert all(part.isfinite().all() for part, _ in data.samples.values())
