"""Asks Optuna for trials, and tells it how they ended.

The study is optuna.db in the sweep's folder; started again, the search goes on until it has its number of trials.
"""

import itertools
import logging
import math
import statistics
import sys

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState

from kindling import UserError
from kindling.sweeps.search.jobs import Jobs
from kindling.sweeps.search.space import Typed
from kindling.training.lock import claim

log = logging.getLogger("kindling")

# Tree-structured Parzen estimator: Bergstra et al. 2011. Random: Bergstra and Bengio 2012, who have it beat a grid.
SAMPLERS = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
RUN = "run"  # a trial's user attribute: its jobs, as in jobs.json; only a trial that was trained has it


def search(typed: Typed, jobs: Jobs, n_trials: int, batch: int, seed: int | None, sampler: str = "tpe") -> None:
    """Ask for trials, train them and tell their scores, until there are n_trials.

    Raises:
        UserError: a number or the sampler cannot be, or another process or another search is in the folder.
    """
    if sampler not in SAMPLERS:
        raise UserError(f"hydra.sweeper.sampler={sampler} is unknown: take {' or '.join(SAMPLERS)}.")
    for name, number in (("n_trials", n_trials), ("batch", batch)):
        if not isinstance(number, int) or number < 1:
            raise UserError(f"hydra.sweeper.{name}={number} cannot be: it must be a whole number from 1.")
    goes_on = True
    with claim(jobs.folder / ".search", new=False):  # held between the batches too
        study = _study(typed, jobs, seed, sampler=sampler)
        jobs.begin()
        try:
            while goes_on and (left := n_trials - len(_trained(study))) > 0:
                goes_on = _batch(study, typed, jobs, number=min(batch, left))
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


def _study(typed: Typed, jobs: Jobs, seed: int | None, sampler: str) -> optuna.Study:
    """The folder's study; what a killed process has left unfinished is the first to be asked for."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if jobs.master.mode == "auto":
        raise UserError(f"monitor={jobs.master.monitor}: say whether higher or lower is better, mode=max or mode=min.")
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
    study.sampler = SAMPLERS[sampler](seed=None if seed is None else seed + len(study.trials))
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if trial.distributions == typed.space:
            study.enqueue_trial(trial.params)
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _kind(item: tuple[str, BaseDistribution]) -> str:
    """What Optuna wants to be the same in all trials of a study: a knob's limits may be moved, these may not."""
    option, d = item
    values = d.choices if isinstance(d, CategoricalDistribution) else f"{type(d).__name__}{', log' * d.log}"
    return f"{option}={values}"


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
