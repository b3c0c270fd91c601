"""The numbers in the tables on the console."""

import math

import pytest

from kindling.training.result import number


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "undefined"),
        (math.nan, "undefined"),
        (0.0, "0.0000"),
        (0.00012345, "0.000123"),
        (0.5, "0.5000"),
        (101.20456, "101.2046"),
        (1050.1098, "1050.1"),
        (-27_412.3, "-27,412"),
        (1_867_423.0, "1,867,423"),
        (390_908_262.0, "3.91e+08"),
        (math.inf, "inf"),
    ],
)
def test_a_metric_has_at_least_three_digits_and_no_exponent_unless_it_is_very_large_or_small(value, shown):
    assert number(value) == shown
