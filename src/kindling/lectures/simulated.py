"""Simulated data sets in place of unavailable ones, with the same shape and a known or measured difficulty."""

import math
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from kindling import UserError
from kindling.data.base import Data
from kindling.data.examples import Examples
from kindling.files import find


class TwoInputs(Data):
    """Samples with 18 normal columns in two groups, a_0 to a_9 and b_0 to b_7, and two targets that depend on both.

    With u = sum(a) / sqrt(10) and v = sum(b) / sqrt(8), each with mean 0 and variance 1, the targets are `u * v`, with
    variance 1, and `|u - v|`, with variance 2 - 4 / pi.

    Args:
        noise: standard deviation of the noise added to both targets.
        num_examples: number of samples for training and validation.
        num_test: number of test samples.
        data_seed: seed of the samples.
    """

    def __init__(
        self, noise: float = 0.1, num_examples: int = 10_000, num_test: int = 10_000, data_seed: int = 0, **data: Any
    ):
        super().__init__(**data)
        self.noise, self.num_examples, self.num_test, self.data_seed = noise, num_examples, num_test, data_seed

    def best_r2(self) -> float:
        """Return the R2 of the formulas, a mean over both targets, which is the best that a model can reach."""
        return sum(variance / (variance + self.noise**2) for variance in (1, 2 - 4 / math.pi)) / 2

    def load(self) -> Examples:
        generator = torch.Generator().manual_seed(self.data_seed)
        x, y = self._draw(self.num_examples, generator)
        test = self._draw(self.num_test, generator) if self.num_test else None
        columns = [f"a{i}" for i in range(10)] + [f"b{i}" for i in range(8)]
        return Examples(x, y, "regression", columns=columns, test=test)

    def _draw(self, num_examples: int, generator: Generator) -> tuple[Tensor, Tensor]:
        x = torch.randn(num_examples, 18, generator=generator)
        u, v = x[:, :10].sum(1) / 10**0.5, x[:, 10:].sum(1) / 8**0.5
        y = torch.stack([u * v, (u - v).abs()], 1)  # (N, 2)
        return x, y + self.noise * torch.randn(num_examples, 2, generator=generator)


WEEKS, DAYS, PARTS = 33, 7, ("morning", "afternoon", "evening", "night")  # the last week is the target; day 1 is Monday
SLOTS = DAYS * len(PARTS)


class Playback(Data):
    """The 28 slots of a week in which viewers watch videos, predicted from 32 weeks: 896 inputs and 28 labels.

    The viewers are simulated, because the course's log of a video service is not public. Viewers have favourite days,
    on which they watch in one part of the day, which depends on their work. For office workers it is the same every
    week. Shift workers move from the early to the late to the night shift, and therefore from mornings to afternoons to
    evenings. In some weeks the part of the day jumps (a holiday, a colleague's shift), and continues from there. Office
    workers also watch on nights from Friday on, shift workers on nights before Friday. Some viewers stop for good.

    The last week alone is therefore not informative (a copy of it is wrong for all shift workers), and a linear map has
    to treat it in the same way for all viewers. Hidden units can recognize the kind of viewer, and use the last week
    accordingly.

    Args:
        path: an .npz file with an array `train_eigens` (users, 924) of values from 0 to 1: 33 weeks of 28 slots, of
            which the last week is the target (1 if anything was watched). None simulates viewers.
        num_examples, data_seed: number of simulated viewers, and their seed.
        shift, stop: shares of viewers who work in shifts, and who stop.
        slip: share of weeks in which the part of the day jumps.
        watch, stray: probabilities of watching in a viewer's own slots, and in other slots.

    Raises:
        UserError: the file has no such array.
    """

    def __init__(
        self,
        path: str | None = None,
        num_examples: int = 20_000,
        data_seed: int = 0,
        shift: float = 0.5,
        stop: float = 0.15,
        slip: float = 0.15,
        watch: float = 0.6,
        stray: float = 0.02,
        **data: Any,
    ):
        super().__init__(**data)
        self.path, self.num_examples, self.data_seed = path, num_examples, data_seed
        self.shift, self.stop, self.slip, self.watch, self.stray = shift, stop, slip, watch, stray

    def load(self) -> Examples:
        if self.path is None:
            log = self._draw(torch.Generator().manual_seed(self.data_seed))  # (N, WEEKS, SLOTS)
        else:
            log = read_playback(self.path)
        x, y = log[:, :-1].flatten(1), (log[:, -1] > 0).float()
        slots = [f"day {day} {part}" for day in range(1, DAYS + 1) for part in PARTS]
        columns = [f"week {week} {slot}" for week in range(1, WEEKS) for slot in slots]
        return Examples(x, y, "multilabel", class_names=slots, columns=columns)

    def _draw(self, generator: Generator) -> Tensor:
        n = self.num_examples
        in_shifts = torch.rand(n, 1, generator=generator) < self.shift
        slips = torch.rand(n, WEEKS, generator=generator) < self.slip
        other = torch.randint(1, 3, (n, WEEKS), generator=generator)
        moves = (in_shifts + slips * other).cumsum(1)
        part = (torch.randint(3, (n, 1), generator=generator) + moves) % 3  # (N, WEEKS)
        share = F.one_hot(part, len(PARTS)).float()[:, :, None].repeat(1, 1, DAYS, 1)  # (N, WEEKS, DAYS, PARTS)
        late_in_week = torch.arange(DAYS) >= 4
        share[..., -1] = 0.5 * (late_in_week != in_shifts)[:, None]  # nights
        share *= (torch.rand(n, 1, DAYS, 1, generator=generator) < 0.6).float()  # favourite days
        last = torch.randint(WEEKS // 2, WEEKS, (n, 1), generator=generator)
        stops = torch.rand(n, 1, generator=generator) < self.stop
        share *= (~stops | (torch.arange(WEEKS) < last))[:, :, None, None]
        chance = self.stray + (self.watch - self.stray) * share.flatten(2)
        return (torch.rand(chance.shape, generator=generator) < chance).float()


def read_playback(path: str) -> Tensor:
    """Read the weeks (users, WEEKS, SLOTS) from a file, as float32.

    Raises:
        UserError: the file is no .npz with an array train_eigens (users, 924) of numbers from 0 to 1.
    """
    wanted = f"it must be an .npz with an array train_eigens (users, {WEEKS * SLOTS}) of numbers from 0 to 1"
    place = find(path)
    try:
        with np.load(place, allow_pickle=False) as file:
            eigens, names = file.get("train_eigens"), list(file)
    except (ValueError, TypeError, OSError, EOFError, BadZipFile) as error:  # pickled, a plain array, cut off
        raise UserError(f"data.path={path} cannot be read ({error}): {wanted}.") from error
    if eigens is None:
        raise UserError(f"data.path={path} has {', '.join(names) or 'no arrays'}: {wanted}.")
    if eigens.ndim != 2 or eigens.shape[1] != WEEKS * SLOTS:
        raise UserError(f"data.path={path} has train_eigens of shape {eigens.shape}: {wanted}.")
    if eigens.dtype.kind not in "biuf" or not ((eigens >= 0) & (eigens <= 1)).all():
        raise UserError(f"data.path={path} has train_eigens with invalid values: {wanted}.")
    return torch.from_numpy(eigens.astype("float32")).view(-1, WEEKS, SLOTS)
