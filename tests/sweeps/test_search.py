"""Searches with Optuna: trials, scores, and how a search is continued."""

import json
import math
import shlex
import sys
from pathlib import Path

import pytest
from conftest import PROJECT
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode

from kindling import UserError
from kindling.cli.overrides import parse_overrides
from kindling.sweeps.search.hydra_plugin import OptunaSweeper
from kindling.training import lock as claim

optuna = pytest.importorskip("optuna")
from kindling.sweeps.search.jobs import Jobs  # noqa: E402
from kindling.sweeps.search.space import SearchSpace  # noqa: E402
from kindling.sweeps.search.study import search  # noqa: E402

LR = "lr=interval(0.001,0.1)"


class Formula(Launcher):
    """A launcher without training: `score` computes a job's score, or its whole result, from its options."""

    def __init__(self, score):
        self.score, self.batches = score, []

    def setup(self, **kwargs) -> None:
        pass

    def launch(self, job_overrides, initial_job_idx):
        options = [{key: value.strip("'") for key, value in parse_overrides(args).items()} for args in job_overrides]
        self.batches.append(options)
        for own in options:
            folder, found = Path(own["hydra.sweep.dir"], own["hydra.sweep.subdir"]), self.score(own)
            if found != {}:
                folder.mkdir()
                result = found if isinstance(found, dict) else {"status": "finished", "score": found}
                (folder / "result.json").write_text(json.dumps(result))
        return [JobReturn(status=JobStatus.COMPLETED) for _ in options]


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """searched(score, *args, folder=, n_trials=...) searches in tmp_path and returns its launcher and trials."""
    monkeypatch.setattr("kindling.sweeps.grid.configure_log", lambda *args: None)  # pytest has its own

    def call(score, *args, folder="sweep", n_trials=6, batch=3, seed=0, repeat=1, folds=None, sampler="tpe"):
        args = ["trainer=cpu", *args]
        with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            place = f"hydra.sweep.dir={tmp_path / folder}"
            master = loader.load_configuration("config", [*args, place], run_mode=RunMode.MULTIRUN)
        launcher = Formula(score)
        jobs = Jobs(launcher, HydraContext(loader, None), master)
        search(SearchSpace(args, loader, repeat, folds), jobs, n_trials, batch, seed, sampler)
        return launcher, study(tmp_path / folder).trials

    return call


def study(folder):
    return optuna.load_study(study_name="search", storage=f"sqlite:///{folder}/optuna.db")


def values(trials, option="lr"):
    return [trial.params.get(option) for trial in trials]


def jobs_of(folder):
    return json.loads((folder / "jobs.json").read_text())["jobs"]


def near(own):
    """Return a score that is best at lr=0.01."""
    return (math.log10(float(own["lr"])) + 2) ** 2


def test_optuna_gets_the_scores_and_the_best_trial_is_reported(searched, tmp_path, caplog):
    with caplog.at_level("INFO", "kindling"):
        launcher, trials = searched(near, LR, "depth=range(1,5)", "width=7", n_trials=7)
    assert [len(batch) for batch in launcher.batches] == [3, 3, 1]
    assert [trial.value for trial in trials] == [near({"lr": lr}) for lr in values(trials)]
    best = min(trials, key=lambda trial: trial.value)
    command = f"python train.py trainer=cpu width=7 lr={best.params['lr']} depth={best.params['depth']}"
    assert caplog.messages[-1] == f"best val/loss {best.value:.4g} of 7 trials: {command}"
    assert len(jobs_of(tmp_path / "sweep")) == 7


def test_accuracy_is_maximized(searched, tmp_path):
    searched(near, LR, "monitor=val/accuracy", n_trials=1)
    assert study(tmp_path / "sweep").direction.name == "MAXIMIZE"


@pytest.mark.slow
def test_trials_without_a_finite_score_fail_and_are_listed(searched, tmp_path):
    ends = iter([1.0, math.inf, {"status": "failed", "error": "planted"}, 2.0, math.nan, {"status": "diverged"}])
    _, trials = searched(lambda own: next(ends), LR)
    assert [trial.value for trial in trials] == [1.0, None, None, 2.0, None, None]
    assert {trial.state.name for trial in trials if trial.value is None} == {"FAIL"}
    listed = [job["overrides"][1] for job in jobs_of(tmp_path / "sweep")]
    assert sorted(listed) == sorted(f"lr={lr}" for lr in values(trials))


@pytest.mark.slow
def test_a_search_without_any_score_ends_normally(searched, caplog):
    with caplog.at_level("INFO", "kindling"):
        searched(lambda own: {"status": "diverged"}, LR)
    assert caplog.messages[-1] == "none of 6 trials has a score"


@pytest.mark.slow
def test_the_seed_determines_the_trials(searched):
    _, one = searched(near, LR, folder="one", n_trials=12, batch=11)
    _, two = searched(near, LR, folder="two", n_trials=12, batch=11)
    _, other = searched(near, LR, folder="other", seed=1)
    assert [trial.params for trial in one] == [trial.params for trial in two]
    assert not set(values(one)) & set(values(other))


@pytest.mark.slow
def test_a_random_search_ignores_the_scores_of_its_trials(searched):
    space, how = ("lr=tag(log,interval(0.001,0.1))", "depth=range(1,5)"), {"n_trials": 13, "batch": 11}
    _, trials = searched(near, *space, folder="random", sampler="random", **how)
    _, tpe = searched(near, *space, folder="tpe", **how)
    asked = []
    for start, number in ((0, 11), (11, 2)):  # each batch has the seed plus the number of trials before it
        untold = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=start))
        asked += [untold.ask(trials[0].distributions).params for _ in range(number)]
    assert [trial.params for trial in trials] == asked
    assert [trial.params for trial in tpe[:10]] == asked[:10]  # TPE starts with ten random trials
    assert [trial.params for trial in tpe[10:]] != asked[10:]


@pytest.mark.slow
def test_a_continued_random_search_tries_new_values(searched):
    searched(near, LR, n_trials=2, sampler="random")
    _, trials = searched(near, LR, n_trials=4, sampler="random")
    assert len(set(values(trials))) == 4


def test_an_experiment_may_define_the_search_space_and_overrides_take_precedence(searched, monkeypatch):
    seen = []
    monkeypatch.setattr("kindling.sweeps.search.study.search", lambda *given, **sampler: seen.append((*given, sampler)))
    sweeper = OptunaSweeper(20, 20, 0, 1, None, "random", {"lr": "interval(0.001,0.1)", "depth": "range(1,5)"})
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        sweeper.loader, sweeper.jobs = GlobalHydra.instance().config_loader(), None
        sweeper.sweep(["depth=3", "width=7"])
    ((space, _, *numbers, sampler),) = seen
    assert (list(space.space), space.common) == (["lr"], ["depth=3", "width=7"])
    assert (numbers, sampler) == ([20, 20, 0], {"sampler": "random"})


@pytest.mark.slow
def test_a_continued_search_does_not_repeat_trials(searched, tmp_path):
    searched(near, LR)
    launcher, trials = searched(near, LR, n_trials=10)
    assert [len(batch) for batch in launcher.batches] == [3, 1]
    assert len(set(values(trials))) == len(jobs_of(tmp_path / "sweep")) == 10
    launcher, trials = searched(near, LR, n_trials=4)
    assert (launcher.batches, len(trials)) == ([], 10)


@pytest.mark.slow
@pytest.mark.parametrize("killed_in", [2, 5, 8])
def test_a_search_that_was_killed_tries_the_same_values_as_an_undisturbed_one(searched, killed_in):
    calls = []

    def dies(own):
        calls.append(own)
        if len(calls) == killed_in:
            raise KeyboardInterrupt
        return near(own)

    _, whole = searched(near, LR, folder="whole", n_trials=13, batch=3)
    with pytest.raises(SystemExit, match="130"):
        searched(dies, LR, folder="stopped", n_trials=13, batch=3)
    _, stopped = searched(near, LR, folder="stopped", n_trials=13, batch=3)
    assert values([trial for trial in stopped if trial.value is not None]) == values(whole)


@pytest.mark.slow
def test_trials_that_a_killed_process_left_unfinished_run_first(searched, tmp_path):
    calls = []

    def killed(own):
        calls.append(own["lr"])
        if len(calls) == 5:
            raise KeyboardInterrupt
        return near(own)

    with pytest.raises(SystemExit):
        searched(killed, LR)
    left = study(tmp_path / "sweep").trials
    assert [trial.state.name for trial in left] == ["COMPLETE"] * 3 + ["RUNNING"] * 3
    launcher, trials = searched(near, LR)
    assert [own["lr"] for own in launcher.batches[0]] == [*calls[4:], str(values(left)[5])]  # the fourth is finished
    assert [trial.state.name for trial in trials[3:]] == ["FAIL"] * 3 + ["COMPLETE"] * 3
    assert values(trials[6:]) == values(trials[3:6])


@pytest.mark.slow
def test_trials_with_the_same_job_are_trained_once(searched, tmp_path):
    launcher, trials = searched(near, "model=logistic", "depth=range(1,5)", "lr=0.1,0.01", n_trials=12)
    assert sum(len(batch) for batch in launcher.batches) == len(jobs_of(tmp_path / "sweep")) == 2
    assert {(trial.params["lr"], trial.value) for trial in trials} == {("0.1", 1.0), ("0.01", 0.0)}


@pytest.mark.slow
def test_the_score_of_a_trial_is_its_mean_over_seeds_and_folds(searched):
    def score(own):
        return float(own["lr"]) + int(own["seed"]) + 10 * int(own["data.fold"])

    launcher, trials = searched(score, LR, "seed=4", n_trials=2, batch=2, repeat=2, folds=3)
    assert [len(batch) for batch in launcher.batches] == [12]
    assert [trial.value for trial in trials] == pytest.approx([lr + 4.5 + 10 for lr in values(trials)])


@pytest.mark.slow
def test_a_failed_job_ends_a_search_with_on_error_stop(searched):
    ends = iter([1.0, {"status": "failed", "error": "planted"}, {}])  # the last is not run
    _, trials = searched(lambda own: next(ends), LR, "on_error=stop")
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "RUNNING"]


@pytest.mark.slow
def test_another_search_is_rejected_in_the_same_folder(searched, tmp_path):
    searched(near, LR, "activation=relu,tanh", n_trials=1)
    for args in ([LR, "activation=relu,gelu"], [LR], [LR, "activation=relu,tanh", "epochs=7"]):
        with pytest.raises(UserError, match=r"belongs to a different search \(.*\): use another sweep.name"):
            searched(near, *args)
    differences = r"belongs to a different search \(mode=max, mode=min, monitor=val/f1, monitor=val/loss\)"
    with pytest.raises(UserError, match=differences):
        searched(near, LR, "activation=relu,tanh", "monitor=val/f1")
    searched(near, "lr=interval(0.01,0.2)", "activation=relu,tanh", n_trials=2)  # limits may change
    with (
        claim.claim(tmp_path / "sweep" / ".search", new=False),
        pytest.raises(UserError, match="is in use by another process"),
    ):
        searched(near, LR, "activation=relu,tanh")


@pytest.mark.parametrize(
    ("args", "numbers", "message"),
    [
        (["lr=0.1"], {}, "There is nothing to search: give an option a range"),
        ([LR], {"n_trials": 0}, "hydra.sweeper.n_trials=0 is invalid: it must be an integer of at least 1"),
        ([LR], {"batch": None}, "hydra.sweeper.batch=None is invalid"),
        ([LR], {"sampler": "grid"}, "hydra.sweeper.sampler=grid is unknown: use tpe or random"),
        (["seed=0,1"], {"repeat": 2}, "repeat=2 and seed=0,1 both set seed: remove one"),
    ],
)
def test_an_invalid_search_is_rejected_before_its_folder_is_made(args, numbers, message, searched, tmp_path):
    with pytest.raises(UserError, match=message):
        searched(near, *args, **numbers)
    assert not (tmp_path / "sweep").exists()


def test_the_error_without_optuna_explains_how_to_install_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "kindling.sweeps.search.study")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r'needs Optuna: pip install -e "\.\[optuna\]"'):
        OptunaSweeper(1, 1, 0, 1, None).sweep([])


def test_hydra_finds_the_plugin_without_optuna_or_torch(shell, tmp_path):
    code = "import sys, hydra_plugins.kindling_search; print({'optuna', 'torch'} & set(sys.modules))"
    (tmp_path / "light.py").write_text(code)
    assert shell(str(tmp_path / "light.py"), check=True, fresh=True).stdout.strip() == "set()"


@pytest.mark.slow
def test_the_random_search_of_the_lecture_reports_a_command_that_trains_its_best_trial(shell, tmp_path):
    args = ["experiment=lectures/random_search", "epochs=2", "trainer=cpu", "hydra.sweeper.n_trials=6"]
    done = shell("train.py", *args, "sweep.name=one")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("best val/loss"))
    trials = study(tmp_path / "runs" / "sweeps" / "one").trials
    assert {tuple(trial.params) for trial in trials} == {("lr", "weight_decay", "depth", "width")}
    again = shell("train.py", *shlex.split(line.partition("python train.py ")[2]))
    assert again.returncode == 0, again.stderr
    (result,) = (tmp_path / "runs" / "diabetes-deep").glob("*/result.json")
    best = min(trial.value for trial in trials)
    assert json.loads(result.read_text())["score"] == pytest.approx(best, rel=1e-4)


@pytest.mark.slow
def test_a_search_from_the_command_line_is_reproducible_and_can_be_continued(shell, table, tmp_path):
    space = ["lr=tag(log, interval(0.001, 1))", "depth=range(1,3)", "activation=relu,tanh"]
    how = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=8", "hydra.sweeper.batch=4", "epochs=2", "width=4"]
    for name in ("one", "two"):
        done = shell("train.py", *how, *table, *space, f"sweep.name={name}")
        assert done.returncode == 0, done.stderr
        assert "of 8 trials: python train.py epochs=2 width=4 " in done.stdout
    one, two = (study(tmp_path / "runs" / "sweeps" / name).trials for name in ("one", "two"))
    assert [(trial.params, trial.value) for trial in one] == [(trial.params, trial.value) for trial in two]

    sweep = tmp_path / "runs" / "sweeps" / "one"
    done = shell("train.py", "resume=runs/sweeps/one", "hydra.sweeper.n_trials=10")
    assert "of 10 trials" in done.stdout, done.stderr
    trials = study(sweep).trials
    assert [trial.params for trial in trials[:8]] == [trial.params for trial in one]
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    scores = {f["key"]: json.loads((sweep / f["folder"] / "result.json").read_text())["score"] for f in jobs_of(sweep)}
    assert len(scores) == 10
    assert [scores[trial.user_attrs["run"][0]["key"]] for trial in trials] == [trial.value for trial in trials]
