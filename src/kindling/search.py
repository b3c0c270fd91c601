"""An extra: search. Optuna chooses the jobs of a sweep, a batch at a time: `train.py -m hydra/sweeper=optuna lr=...`.

The study is optuna.db in the sweep's folder; started again, the search goes on until it has its number of trials.
"""

import itertools
import json
import logging
import math
import statistics
import sys
from pathlib import Path

import optuna
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from kindling import UserError, cli
from kindling.claim import claim
from kindling.result import write_json
from kindling.sweep.folder import result_of
from kindling.sweep.grid import shorthand, through
from kindling.sweep.plan import OF_THE_SWEEP, is_of_the_sweep, plan

log = logging.getLogger("kindling")

RUN = "run"  # a trial's user attribute: its jobs, as in jobs.json; only a trial that was trained has it


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

    def jobs(self, params: dict) -> list[list[str]]:
        """Of a trial: one, or as many as there are seeds and folds."""
        return [[*self.shared, *self._words(params), *variant] for variant in self.variants]

    def command(self, params: dict) -> str:
        """What trains the trial's values once more, by itself."""
        return cli.command([word for word in [*self.common, *self._words(params)] if not is_of_the_sweep(word)])

    def _words(self, params: dict) -> list[str]:
        return [f"{key}={params[key]}" for key in self.space]


def distribution(o: Override) -> BaseDistribution:
    """Hydra's notation as Optuna's: interval(a, b), range(a, b, step), a list, and tag(log, ...) of the first two.

    Raises:
        UserError: it has another meaning, or none.
    """
    value, tags = o.value(), set(getattr(o.value(), "tags", ()))
    if o.key_or_group in ("monitor", "mode", *OF_THE_SWEEP):
        raise UserError(f"{o.input_line} cannot be searched: {o.key_or_group} must be the same for all trials.")
    if tags - {"log"} or (tags and o.is_choice_sweep()) or getattr(value, "shuffle", False):
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
        values = list(value.range())
        whole = all(isinstance(end, int) for end in (value.start, value.stop, value.step))
        low, high = sorted((values[0], values[-1]))  # range's stop is not one of its values
        return (IntDistribution if whole else FloatDistribution)(low, high, log=bool(tags), step=abs(value.step))
    except (ValueError, IndexError, HydraException) as error:
        raise UserError(f"{o.input_line} cannot be searched: {error}.") from error


class Jobs:
    """Trains jobs in the sweep's folder, by whichever launcher was chosen."""

    def __init__(self, launcher: Launcher, context: HydraContext, master: DictConfig):
        self.launcher, self.context, self.master = launcher, context, master

    def __call__(self, batch: list[list[str]]) -> list[tuple[dict, dict]]:
        """Of every job its entry in jobs.json, and its result, empty if it was not run."""
        from hydra_plugins.kindling_sweep import TogetherLauncher

        if isinstance(self.launcher, TogetherLauncher):
            self.launcher.launch(batch, 0)
        else:
            through(self.launcher, self.context, self.master, batch)
        # A job may be the same as one of another trial, and be listed with that one's words.
        folder = Path(self.master.hydra.sweep.dir)
        listed = {entry["key"]: entry for entry in json.loads((folder / "jobs.json").read_text())["jobs"]}
        entries = [listed[job.key] for job in plan(self.context.config_loader, self.master, batch)]
        return [(entry, result_of(folder / entry["folder"])) for entry in entries]
