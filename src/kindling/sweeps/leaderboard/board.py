"""Rank the variants of a sweep by their mean score over seeds, folds and splits."""

import math
import statistics
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kindling import UserError
from kindling.cli.monitor import direction, split
from kindling.sweeps.leaderboard.jobs import FOLDED, Job, swept

AMBIGUOUS_VALUES = {"none", "null", "true", "false", "auto", "default"}  # unclear without the option's name


@dataclass
class Row:
    """A variant, i.e. the jobs that differ only in seed, fold or split; or a baseline or ensemble, without own jobs."""

    options: dict[str, str]
    metric: str  # the ranked metric
    results: list[dict[str, float | None]]  # metrics of each repetition with a finite score
    finished: list[Job]  # the jobs of `results`
    jobs: list[Job]  # all jobs, including those without a score
    name: str = ""  # of a baseline or ensemble

    @property
    def scores(self) -> list[float]:
        return [score for result in self.results if (score := result[self.metric]) is not None]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.scores)

    @property
    def std(self) -> float | None:
        """Sample standard deviation, or None for a single score."""
        return statistics.stdev(self.scores) if len(self.results) > 1 else None

    @property
    def count(self) -> str:
        n, of = len(self.results), len(self.jobs)
        return str(n) if self.name or n == of else f"{n} of {of}"

    @property
    def others(self) -> dict[str, float | None]:
        """Means of the other metrics of the same stage; None if one is undefined in any repetition."""
        stage = split(self.metric)[0]
        names = [name for name in self.results[0] if split(name)[0] == stage and name != self.metric]
        means: dict[str, float | None] = {}
        for name in names:
            values = [value for result in self.results if (value := result.get(name)) is not None]
            means[name] = statistics.fmean(values) if len(values) == len(self.results) else None
        return means

    @property
    def params(self) -> int | None:
        return self.finished[0].result.get("params") if self.finished else None

    @property
    def seconds(self) -> float | None:
        return None if self.name else sum(job.result.get("seconds") or 0 for job in self.jobs)

    def best_job(self, mode: str) -> Job:
        pick = max if mode == "max" else min
        return self.finished[pick(range(len(self.results)), key=self.scores.__getitem__)]


@dataclass
class Board:
    """The jobs of a sweep, ranked by the monitored metric; baselines, an ensemble and notes are added later."""

    folder: Path
    jobs: list[Job]
    options: list[str]  # the swept options that distinguish variants
    folded: list[str]  # the swept options that only repeat a variant
    metric: str
    mode: str
    rows: list[Row]  # best first
    unranked: list[Job]
    ambiguous: set[str]  # values that more than one option may have
    baselines: list[Row] = field(default_factory=list)
    ensemble: Row | None = None
    ensemble_test: dict[str, float | None] = field(default_factory=dict)  # its test metrics
    notes: list[str] = field(default_factory=list)

    @property
    def others(self) -> list[str]:
        """The other metrics' names."""
        return list(dict.fromkeys(name for row in [*self.rows, *self.without_rank] for name in row.others))

    @property
    def without_rank(self) -> list[Row]:
        """The ensemble, if there is one, and the baselines."""
        return [*([self.ensemble] if self.ensemble else []), *self.baselines]

    def kind(self, row: Row) -> str:
        """Return "ensemble", "baseline", or "" for a variant."""
        return "ensemble" if row is self.ensemble else "baseline" if row.name else ""

    def label(self, options: dict[str, str]) -> str:
        """Name a variant, e.g. `tanh depth=2`; the option's name is left out if the value alone is clear."""
        parts = []
        for key, value in options.items():
            plain = value.replace("_", "").isalpha() and value not in self.ambiguous
            parts += [value if plain else f"{key}={value}"] if value else []
        return " ".join(parts) or ("the default" if options else "the only variant")


def rank(folder: Path, jobs: list[Job]) -> Board:
    """Group the jobs into variants, score and sort them.

    Raises:
        UserError: it is unknown whether a higher score is better.
    """
    differing = swept(jobs)
    options, folded = ([key for key in differing if (key in FOLDED) == fold] for fold in (False, True))
    metric, mode = _watched(jobs)
    groups: dict[tuple, list[Job]] = {}
    for job in jobs:
        groups.setdefault(tuple(job.options.get(key, "") for key in options), []).append(job)
    rows, unranked = [], []
    for values, members in groups.items():
        scored = [(job, score) for job in members if (score := _score(job, metric)) is not None]
        finished, results = [job for job, _ in scored], [{**job.metrics, metric: score} for job, score in scored]
        rows += (
            [Row(dict(zip(options, values, strict=True)), metric, results, finished=finished, jobs=members)]
            if scored
            else []
        )
        unranked += [job for job in members if job not in finished]
    for job in unranked:
        job.reason = job.reason or ("" if job.status != "finished" else f"it has no finite {metric}")
    rows.sort(key=lambda row: row.mean, reverse=mode == "max")
    uses = Counter(value for _, value in {(key, job.options.get(key, "")) for job in jobs for key in options})
    ambiguous = AMBIGUOUS_VALUES | {value for value, number in uses.items() if number > 1}
    return Board(
        folder,
        jobs,
        options,
        folded=folded,
        metric=metric,
        mode=mode,
        rows=rows,
        unranked=unranked,
        ambiguous=ambiguous,
    )


def _watched(jobs: list[Job]) -> tuple[str, str]:
    """Return the metric to rank by, train/loss if there are no validation samples, and "min" or "max"."""
    scored = [job.result for job in jobs if job.result.get("monitor")]
    # The first monitored value that all have, because models may monitor different ones.
    named = next((one for one in scored if all(one["monitor"] in each["metrics"] for each in scored)), {})
    metric = named.get("monitor", "val/loss")
    mode = named["mode"] if named.get("mode") in ("min", "max") else direction(metric)
    if mode is None:
        raise UserError(f"It is unknown whether a higher {metric} is better: train the jobs with mode=min or mode=max.")
    recorded = {name for job in jobs for name in job.metrics}
    without_validation = metric not in recorded and "train/loss" in recorded
    return ("train/loss", "min") if without_validation else (metric, mode)


def _score(job: Job, metric: str) -> float | None:
    """Return the job's value of the metric at its best epoch; None if it did not finish or the value is not finite."""
    if job.status != "finished":
        return None
    own = job.result.get("monitor") or metric  # a job may have monitored another metric
    score = job.result.get("score") if own == metric else job.metrics.get(metric)
    return score if score is not None and math.isfinite(score) else None
