"""An extra: search. Optuna chooses the jobs of a sweep, a batch at a time: `train.py -m hydra/sweeper=optuna lr=...`.

The study is optuna.db in the sweep's folder; started again, the search goes on until it has its number of trials.
"""

import itertools
import logging
import math
import statistics
import sys
from decimal import Decimal

import optuna
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hydra_plugins.kindling_search import Jobs
from kindling import UserError, cli
from kindling.claim import claim
from kindling.sweep.grid import shorthand
from kindling.sweep.plan import OF_THE_SWEEP, is_of_the_sweep

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
        every = {*self.shared, *itertools.chain(*self.variants)}
        self.same_for_all = sorted(word for word in every if not is_of_the_sweep(word))

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
        return IntDistribution(int(low), int(high), is_log, int(abs(step)))
    return FloatDistribution(float(low), float(high), is_log, float(abs(step)))


def search(typed: Typed, jobs: Jobs, n_trials: int, batch: int, seed: int | None) -> None:
    """Ask for trials, train them and tell their scores, until there are n_trials.

    Raises:
        UserError: a number cannot be, or another process or another search is in the folder.
    """
    for name, number in (("n_trials", n_trials), ("batch", batch)):
        if not isinstance(number, int) or number < 1:
            raise UserError(f"hydra.sweeper.{name}={number} cannot be: it must be a whole number from 1.")
    goes_on = True
    with claim(jobs.folder / ".search", new=False):  # held between the batches too
        study = _study(typed, jobs, seed)
        jobs.begin()
        try:
            while goes_on and (left := n_trials - len(_trained(study))) > 0:
                goes_on = _batch(study, typed, jobs, min(batch, left))
                jobs.list_all([entry for trial in _trained(study) for entry in trial.user_attrs[RUN]])
        except KeyboardInterrupt:
            log.info(f"interrupted; to go on: python train.py resume={jobs.folder}")
            sys.exit(130)
    done = _trained(study)
    if any(trial.state is TrialState.COMPLETE for trial in done):
        best, monitor = study.best_trial, jobs.master.monitor
        log.info(f"best {monitor} {best.value:.4g} of {len(done)} trials: {typed.command(best.params)}")
    else:
        log.info(f"none of {len(done)} trials has a score")


def _study(typed: Typed, jobs: Jobs, seed: int | None) -> optuna.Study:
    """The folder's study; what a killed process has left unfinished is the first to be asked for."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    mode, place = jobs.master.mode, (jobs.folder / "optuna.db").absolute().as_posix()
    direction = "maximize" if mode == "max" else "minimize"
    study = optuna.create_study(
        study_name="search", storage=f"sqlite:///{place}", direction=direction, load_if_exists=True
    )
    same = [*typed.same_for_all, f"mode={mode}", f"monitor={jobs.master.monitor}", *map(_kind, typed.space.items())]
    if other := set(study.user_attrs.get("same", same)) ^ set(same):
        raise UserError(f"{jobs.folder} has another search ({', '.join(sorted(other))}): take another sweep.name.")
    study.set_user_attr("same", same)
    # A sampler forgets: with its first seed a search that goes on would try the same values again.
    study.sampler = optuna.samplers.TPESampler(seed=None if seed is None else seed + len(study.trials))
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if trial.distributions == typed.space:
            study.enqueue_trial(trial.params)
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _kind(of_knob: tuple[str, BaseDistribution]) -> str:
    """What Optuna wants to be the same in all trials of a study: a knob's limits may be moved, these may not."""
    knob, d = of_knob
    values = d.choices if isinstance(d, CategoricalDistribution) else f"{type(d).__name__}{', log' * d.log}"
    return f"{knob}={values}"


def _trained(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.trials if RUN in trial.user_attrs]


def _batch(study: optuna.Study, typed: Typed, jobs: Jobs, number: int) -> bool:
    """Whether to go on: not if on_error=stop and a job has failed. Trials that are not run then stay open."""
    trials = [study.ask(typed.space) for _ in range(number)]
    words = [typed.jobs(trial.params) for trial in trials]
    ended = iter(jobs([job for own in words for job in own]))
    stops, failed = jobs.master.on_error == "stop", False
    for trial, own in zip(trials, words, strict=True):
        entries, results = zip(*itertools.islice(ended, len(own)), strict=True)
        scores = [result.get("score") for result in results if result.get("status") == "finished"]
        whole = len(scores) == len(results) and None not in scores and math.isfinite(mean := statistics.fmean(scores))
        failed |= not whole
        if not (stops and {} in results):
            trial.set_user_attr(RUN, list(entries))
            study.tell(trial, mean if whole else None, state=TrialState.COMPLETE if whole else TrialState.FAIL)
    return not (stops and failed)
