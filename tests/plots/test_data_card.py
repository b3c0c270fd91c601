"""The picture of a table's target and columns."""

import numpy as np
import pandas as pd
import pytest
import torch

from kindling.data.tables.table import Table
from kindling.plots.data_card import BINS, HEIGHT, MAX_PANELS, draw_data, percent


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.lognormal(size=200), "stars": rng.integers(1, 6, 200)})
    frame["town"] = rng.choice(["Rome", "Oslo", "Bern", "Ulm", "Nice", "Lyon", "$_x"], 200, p=[0.4, *[0.1] * 6])
    frame["seen"] = pd.date_range("2020-02-01", periods=200).astype(str)
    frame.loc[:49, "size"] = np.nan
    frame["sold"] = rng.choice(["yes", "no"], 200, p=[0.25, 0.75])
    return frame


def drawn(frame, tmp_path, **options):
    """Return the texts of the picture, and the heights of its bars."""
    frame.to_csv(tmp_path / "table.csv", index=False)
    data = Table(str(tmp_path / "table.csv"), **options)
    data.setup()
    (axes,) = draw_data(data).axes
    corners = [path.vertices for path in axes.collections[0].get_paths()]
    return [text.get_text() for text in axes.texts], [np.ptp(corner[:, 1]) for corner in corners], axes.get_title()


def test_the_picture_states_shares_of_classes_frequent_values_and_missing_values(frame, tmp_path):
    texts, _, title = drawn(frame, tmp_path)
    assert title == "200 samples before scaling (orange: target)"
    for name, value in (("sold", "no"), ("sold", "yes"), ("town", "Rome")):
        assert f"{value} ({(frame[name] == value).mean():.0%})" in texts
    assert {"25% missing", "+2 values", "2020-02-01", "2020-08-18", "1", "5"} <= set(texts)
    shares = frame.town.value_counts(normalize=True)
    assert sum(any(text.startswith(f"{town} ") for town in shares.index) for text in texts) <= 5
    assert f"{frame['size'].min():.4g}" in texts


def test_the_bars_of_a_histogram_are_those_of_numpy(frame, tmp_path):
    _, heights, _ = drawn(frame[["size", "sold"]], tmp_path)
    counts, _ = np.histogram(frame["size"].dropna().astype(np.float32), BINS)
    assert heights[2:] == pytest.approx(HEIGHT * counts / counts.max(), abs=0.01)  # after two classes


def test_integers_have_a_bar_for_each_value(frame, tmp_path):
    _, heights, _ = drawn(frame[["stars", "sold"]], tmp_path)
    counts = frame.stars.value_counts().sort_index()
    assert heights[2:] == pytest.approx((HEIGHT * counts / counts.max()).tolist())


def test_the_target_of_a_regression_is_shown_in_its_unit(frame, tmp_path):
    texts, _, _ = drawn(frame, tmp_path, target="stars", task="regression")
    assert texts[:3] == ["stars", "1", "5"]


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (0.001, "<1%"), (0.01, "1%"), (0.985, "98%"), (0.999, ">99%"), (1, "100%")]
)
def test_a_percentage_is_zero_or_hundred_only_if_the_share_is(share, text):
    assert percent(share) == text


def test_a_wide_table_shows_its_first_columns(tmp_path):
    wide = pd.DataFrame(torch.randn(30, 40).numpy(), columns=[f"c{i}" for i in range(40)])
    texts, _, title = drawn(wide.assign(y=wide.c0 > 0), tmp_path, target="y")
    assert title == "30 samples before scaling, 16 of 41 columns (orange: target)"
    assert sum(text.startswith("c") for text in texts) == MAX_PANELS - 1


def test_several_labels_are_one_panel(tmp_path, frame):
    table = frame[["size"]].assign(a=np.arange(200) % 2, b=np.arange(200) % 4 // 3)
    texts, _, _ = drawn(table, tmp_path, target=["a", "b"], task="multilabel")
    assert texts[:3] == ["labels", "a (50%)", "b (25%)"]
