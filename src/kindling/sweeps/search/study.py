"""Ask Optuna for trials, train them and tell Optuna their scores.

The study is stored as optuna.db in the sweep's folder; a search that is started again continues it.
"""

import itertools
import logging
import math
import statistics
import sys

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from kindling import UserError
from kindling.cli.folders.damaged import Damaged
from kindling.sweeps.search.jobs import Jobs
from kindling.sweeps.search.space import SearchSpace
from kindling.training.lock import claim

log = logging.getLogger("kindling")

# TPE, the tree-structured Parzen estimator: Bergstra et al. 2011. Random search: Bergstra and Bengio 2012.
SAMPLERS = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
NOT_DAMAGED = "database is locked", "readonly database", "disk is full", "unable to open database file"  # of SQLite
BATCH = "batch"  # user attribute of the study: numbers of the trials of the last batch, once it is complete
RUN = "run"  # user attribute with a trial's jobs, as in jobs.json; only trials that were trained have it


def search(space: SearchSpace, jobs: Jobs, n_trials: int, batch: int, seed: int | None, sampler: str = "tpe") -> None:
    """Ask for trials, train them and tell their scores, until there are n_trials.

    Raises:
        UserError: a number or the sampler is invalid, or the folder is in use or belongs to a different search.
    """
    if sampler not in SAMPLERS:
        raise UserError(f"hydra.sweeper.sampler={sampler} is unknown: use {' or '.join(SAMPLERS)}.")
    for name, number in (("n_trials", n_trials), ("batch", batch)):
        if not isinstance(number, int) or number < 1:
            raise UserError(f"hydra.sweeper.{name}={number} is invalid: it must be an integer of at least 1.")
    is_running = True
    with claim(jobs.folder / ".search", new=False):  # also held between batches
        study = _study(space, jobs)
        jobs.begin()
        if before := [entry for trial in _trained(study) for entry in trial.user_attrs[RUN]]:
            jobs.list_all(before)  # jobs.json may be damaged
        try:
            while is_running and (left := n_trials - len(_trained(study))) > 0:
                # A sampler's state is not stored, so that it depends on the number of trials alone.
                study.sampler = SAMPLERS[sampler](seed=None if seed is None else seed + n_trials - left)
                waiting = len(study.get_trials(states=(TrialState.WAITING,)))  # of a batch that was not completed
                is_running = _run_batch(study, space, jobs, number=min(waiting or batch, left))
                jobs.list_all([entry for trial in _trained(study) for entry in trial.user_attrs[RUN]])
        except KeyboardInterrupt:
            log.info(f"interrupted; to continue: python train.py resume={jobs.folder}")
            sys.exit(130)
    done = _trained(study)
    if any(trial.state is TrialState.COMPLETE for trial in done):
        best, monitor = study.best_trial, jobs.master.monitor
        log.info(f"best {monitor} {best.value:.4g} of {len(done)} trials: {space.command(best.params)}")
    else:
        log.info(f"none of {len(done)} trials has a score")


def _study(space: SearchSpace, jobs: Jobs) -> optuna.Study:
    """Create or load the folder's study; trials that a killed process has left unfinished are enqueued first."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if jobs.master.mode == "auto":
        raise UserError(
            f"It is unknown whether a higher monitor={jobs.master.monitor} is better: add mode=max or mode=min."
        )
    mode, place = jobs.master.mode, (jobs.folder / "optuna.db").absolute().as_posix()
    try:
        study = optuna.create_study(
            study_name="search",
            storage=f"sqlite:///{place}",
            direction="maximize" if mode == "max" else "minimize",
            load_if_exists=True,
        )
        study.get_trials()
    except Exception as error:  # of SQLAlchemy or of Optuna, which do not expect another content
        if why := next((text for text in NOT_DAMAGED if text in str(error)), None):
            raise UserError(f"{place} cannot be used now ({why}): correct that, and start the search again.") from error
        raise Damaged(jobs.folder / "optuna.db", str(error).partition("\n")[0]) from error
    same = [*space.fixed, f"mode={mode}", f"monitor={jobs.master.monitor}", *map(_kind, space.space.items())]
    if other := set(study.user_attrs.get("same", same)) ^ set(same):
        raise UserError(
            f"{jobs.folder} belongs to a different search ({', '.join(sorted(other))}): use another sweep.name."
        )
    study.set_user_attr("same", same)
    asked = study.user_attrs.get(BATCH)
    waiting = [trial.system_attrs["fixed_params"] for trial in study.get_trials(states=(TrialState.WAITING,))]
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        was_enqueued = asked is None or trial.number in asked or "fixed_params" in trial.system_attrs
        if trial.distributions == space.space and was_enqueued and trial.params not in waiting:
            study.enqueue_trial(trial.params)
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def _kind(item: tuple[str, BaseDistribution]) -> str:
    """Return what must be the same in all trials of a study: choices, or type and scale; limits may change."""
    option, d = item
    if isinstance(d, CategoricalDistribution):
        return f"{option}={d.choices}"
    is_log = isinstance(d, FloatDistribution | IntDistribution) and d.log
    return f"{option}={type(d).__name__}{', log' * is_log}"


def _trained(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.trials if RUN in trial.user_attrs]


def _run_batch(study: optuna.Study, space: SearchSpace, jobs: Jobs, number: int) -> bool:
    """Run a batch of trials, and return whether to continue.

    It returns False if on_error=stop and a job has failed; trials that were not run then remain open.
    """
    trials = [study.ask(space.space) for _ in range(number)]
    study.set_user_attr(BATCH, [trial.number for trial in trials])
    overrides = [space.jobs(trial.params) for trial in trials]
    ended = iter(jobs([job for own in overrides for job in own]))
    stops, failed = jobs.master.on_error == "stop", False
    for trial, own in zip(trials, overrides, strict=True):
        entries, results = zip(*itertools.islice(ended, len(own)), strict=True)
        scores = [result.get("score") for result in results if result.get("status") == "finished"]
        complete = len(scores) == len(results) and None not in scores
        mean = statistics.fmean(scores) if complete else math.nan
        complete = math.isfinite(mean)
        failed |= not complete
        if not (stops and {} in results):
            trial.set_user_attr(RUN, list(entries))
            study.tell(trial, mean if complete else None, state=TrialState.COMPLETE if complete else TrialState.FAIL)
    return not (stops and failed)
