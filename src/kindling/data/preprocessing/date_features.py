"""The inputs that a date becomes."""

import torch
from torch import Tensor

FEATURES = ("year", "month", "weekday", "days")


def date_features(days: Tensor, first: float) -> Tensor:
    """Return year, month (1 to 12), day of the week (Monday is 0), and the days since `first`, (N, 4) for days (N,).

    The calendar is the proleptic Gregorian one; the algorithm is days2civil of Howard Hinnant, "chrono-Compatible
    Low-Level Date Algorithms", with years that begin in March.
    """

    def over(numerator: Tensor, denominator: int) -> Tensor:
        return torch.div(numerator, denominator, rounding_mode="floor")

    whole = days.floor().long()
    since = whole + 719_468  # 0000-03-01
    era = over(since, 146_097)  # of 400 years
    day_of_era = since - 146_097 * era
    year = over(day_of_era - over(day_of_era, 1460) + over(day_of_era, 36_524) - over(day_of_era, 146_096), 365)
    day_of_year = day_of_era - (365 * year + over(year, 4) - over(year, 100))
    month = over(5 * day_of_year + 2, 153)  # 0 is March
    month = torch.where(month < 10, month + 3, month - 9)
    year = year + 400 * era + (month <= 2).long()
    return torch.stack([year.double(), month.double(), ((whole + 3) % 7).double(), days - first], 1)
