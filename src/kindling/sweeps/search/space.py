"""The search space, given in Hydra's override syntax."""

import itertools
from decimal import Decimal

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from kindling import UserError
from kindling.cli.overrides import command
from kindling.sweeps.grid import with_repetitions
from kindling.sweeps.plan import NOT_JOB_OPTIONS, is_sweep_option


class SearchSpace:
    """The distributions of the searched options, and the overrides that all trials have in common.

    Attributes:
        space: option -> distribution.
        fixed: the overrides that are the same for all trials and matter for them.

    Raises:
        UserError: no option is searched, or one cannot be.
    """

    def __init__(self, arguments: list[str], loader: ConfigLoader, repeat: int = 1, folds: int | None = None):
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
        self.space = {o.get_key_element(): distribution(o) for o in parsed if o.is_sweep_override()}
        if not self.space:
            raise UserError("There is nothing to search: give an option a range, e.g. lr='interval(0.001, 0.1)'.")
        self.common = [arg for arg, o in zip(arguments, parsed, strict=True) if not o.is_sweep_override()]
        repeated = with_repetitions(arguments, repeat, folds)
        lists = [override.split("=") for override in repeated if override not in arguments]  # seed=0,1,2
        self.variants = list(itertools.product(*([f"{k}={v}" for v in values.split(",")] for k, values in lists)))
        self.shared = [
            override for override in self.common if override in repeated
        ]  # without a repetition's first seed
        every = {*self.shared, *itertools.chain(*self.variants)}
        self.fixed = sorted(override for override in every if not is_sweep_option(override))

    def jobs(self, params: dict[str, object]) -> list[list[str]]:
        """Return the overrides of a trial's jobs, one for each combination of seed and fold."""
        return [[*self.shared, *self._overrides(params), *variant] for variant in self.variants]

    def command(self, params: dict[str, object]) -> str:
        """Return the command that trains a trial's values as a single run."""
        return command([o for o in [*self.common, *self._overrides(params)] if not is_sweep_option(o)])

    def _overrides(self, params: dict[str, object]) -> list[str]:
        return [f"{key}={params[key]}" for key in self.space]


def distribution(o: Override) -> BaseDistribution:
    """Convert a sweep in Hydra's syntax: interval(a, b), range(a, b, step), tag(log, either of these), or a list.

    Raises:
        UserError: it is not supported in a search.
    """
    value = o.value()
    if o.key_or_group in ("monitor", "mode", *NOT_JOB_OPTIONS):
        raise UserError(f"{o.input_line} cannot be searched: {o.key_or_group} must be the same for all trials.")
    shuffled = isinstance(value, ChoiceSweep | RangeSweep) and value.shuffle
    tags = value.tags if isinstance(value, ChoiceSweep | RangeSweep | IntervalSweep) else set()
    if tags - {"log"} or (tags and isinstance(value, ChoiceSweep)) or shuffled:
        raise UserError(
            f"{o.input_line} is not supported in a search: use interval(a, b), range(a, b, step), int(interval(a, b)), "
            "tag(log, ...) of one of these, or a list."
        )
    try:
        if isinstance(value, RangeSweep):
            return _stepped(value, bool(tags))
        if isinstance(value, IntervalSweep):
            low, high = value.start, value.end
            if low is None or high is None:
                raise ValueError("it has no limits")
            if isinstance(low, int) and isinstance(high, int):  # only inside int(...)
                return IntDistribution(low, high, log=bool(tags))
            return FloatDistribution(low, high, log=bool(tags))
        return CategoricalDistribution(list(o.sweep_string_iterator()))
    except (ValueError, HydraException) as error:
        raise UserError(f"{o.input_line} cannot be searched: {str(error).rstrip('.')}.") from error


def _stepped(value: RangeSweep, is_log: bool) -> BaseDistribution:
    number = len(list(value.range()))
    if number == 0:
        raise ValueError("it has no values")
    start, step = Decimal(str(value.start)), Decimal(str(value.step))
    low, high = sorted((start, start + (number - 1) * step))  # a range does not include its stop
    if isinstance(value.range(), range):
        return IntDistribution(int(low), int(high), log=is_log, step=int(abs(step)))
    return FloatDistribution(float(low), float(high), log=is_log, step=float(abs(step)))
