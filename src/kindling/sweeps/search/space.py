"""What is to be searched, in Hydra's notation."""

import itertools
from decimal import Decimal

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from kindling import UserError
from kindling.cli.overrides import command
from kindling.sweeps.grid import shorthand
from kindling.sweeps.plan import OF_THE_SWEEP, is_of_the_sweep


class Typed:
    """What was typed: the space to search, and the words that all trials have in common.

    Raises:
        UserError: nothing is to be searched, or something that cannot be.
    """

    def __init__(self, arguments: list[str], loader: ConfigLoader, repeat: int = 1, folds: int | None = None):
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
        self.space = {o.get_key_element(): distribution(o) for o in parsed if o.is_sweep_override()}
        if not self.space:
            raise UserError("There is nothing to search: give a knob several values, e.g. lr='interval(0.001, 0.1)'.")
        self.common = [o.input_line for o in parsed if not o.is_sweep_override()]
        words = shorthand(arguments, repeat, folds)
        lists = [word.split("=") for word in words if word not in arguments]  # seed=0,1,2
        self.variants = list(itertools.product(*([f"{k}={v}" for v in values.split(",")] for k, values in lists)))
        self.shared = [word for word in self.common if word in words]  # without the first seed of a repetition
        every = {*self.shared, *itertools.chain(*self.variants)}
        self.same_for_all = sorted(word for word in every if not is_of_the_sweep(word))

    def jobs(self, params: dict) -> list[list[str]]:
        """Of a trial: one, or as many as there are seeds and folds."""
        return [[*self.shared, *self._words(params), *variant] for variant in self.variants]

    def command(self, params: dict) -> str:
        """What trains the trial's values once more, by itself."""
        return command([word for word in [*self.common, *self._words(params)] if not is_of_the_sweep(word)])

    def _words(self, params: dict) -> list[str]:
        return [f"{key}={params[key]}" for key in self.space]


def distribution(o: Override) -> BaseDistribution:
    """Hydra's notation as Optuna's: interval(a, b), range(a, b, step), a list, and tag(log, ...) of the first two.

    Raises:
        UserError: it has another meaning, or none.
    """
    value, tags = o.value(), set(o.value().tags)
    if o.key_or_group in ("monitor", "mode", *OF_THE_SWEEP):
        raise UserError(f"{o.input_line} cannot be searched: {o.key_or_group} must be the same for all trials.")
    if tags - {"log"} or (tags and o.is_choice_sweep()) or (not o.is_interval_sweep() and value.shuffle):
        raise UserError(
            f"{o.input_line} has no meaning for a search: take interval(a, b), range(a, b, step), int(interval(a, b)), "
            "tag(log, one of these), or a list."
        )
    try:
        if o.is_choice_sweep():
            return CategoricalDistribution(list(o.sweep_string_iterator()))
        if o.is_interval_sweep():
            whole = isinstance(value.start, int) and isinstance(value.end, int)  # by int(...) only
            return (IntDistribution if whole else FloatDistribution)(value.start, value.end, log=bool(tags))
        return _steps(value, bool(tags))
    except (ValueError, HydraException) as error:
        raise UserError(f"{o.input_line} cannot be searched: {str(error).rstrip('.')}.") from error


def _steps(value: RangeSweep, is_log: bool) -> BaseDistribution:
    number = len(list(value.range()))
    if number == 0:
        raise ValueError("it has no values")
    start, step = Decimal(str(value.start)), Decimal(str(value.step))
    low, high = sorted((start, start + (number - 1) * step))  # range's stop is not one of its values
    if isinstance(value.range(), range):
        return IntDistribution(int(low), int(high), log=is_log, step=int(abs(step)))
    return FloatDistribution(float(low), float(high), log=is_log, step=float(abs(step)))
