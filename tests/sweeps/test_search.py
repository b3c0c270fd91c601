"""Search: what is asked and told, and how a search goes on."""

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
from kindling.sweeps.search.space import Typed  # noqa: E402
from kindling.sweeps.search.study import search  # noqa: E402

LR = "lr=interval(0.001,0.1)"


class Formula(Launcher):
    """Trains nothing: a job's result is what `score` makes of its knobs, a score or the whole result."""

    def __init__(self, score):
        self.score, self.batches = score, []

    def setup(self, **kwargs) -> None:
        pass

    def launch(self, job_overrides, initial_job_idx):
        options = [{key: value.strip("'") for key, value in parse_overrides(words).items()} for words in job_overrides]
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
    """searched(score, *words, folder=, n_trials=...) searches in tmp_path; its launcher and trials."""
    monkeypatch.setattr("kindling.sweeps.grid.configure_log", lambda *args: None)  # pytest has its own

    def call(score, *words, folder="sweep", n_trials=6, batch=3, seed=0, repeat=1, folds=None, sampler="tpe"):
        words = ["trainer=cpu", *words]
        with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            place = f"hydra.sweep.dir={tmp_path / folder}"
            master = loader.load_configuration("config", [*words, place], run_mode=RunMode.MULTIRUN)
        launcher = Formula(score)
        jobs = Jobs(launcher, HydraContext(loader, None), master)
        search(Typed(words, loader, repeat, folds), jobs, n_trials, batch, seed, sampler)
        return launcher, study(tmp_path / folder).trials

    return call


def study(folder):
    return optuna.load_study(study_name="search", storage=f"sqlite:///{folder}/optuna.db")


def values(trials, option="lr"):
    return [trial.params.get(option) for trial in trials]


def jobs_of(folder):
    return json.loads((folder / "jobs.json").read_text())["jobs"]


def near(own):
    """Best at lr=0.01."""
    return (math.log10(float(own["lr"])) + 2) ** 2


def test_scores_are_told_and_the_best_is_named(searched, tmp_path, caplog):
    with caplog.at_level("INFO", "kindling"):
        launcher, trials = searched(near, LR, "depth=range(1,5)", "width=7", n_trials=7)
    assert [len(batch) for batch in launcher.batches] == [3, 3, 1]
    assert [trial.value for trial in trials] == [near({"lr": lr}) for lr in values(trials)]
    best = min(trials, key=lambda trial: trial.value)
    command = f"python train.py trainer=cpu width=7 lr={best.params['lr']} depth={best.params['depth']}"
    assert caplog.messages[-1] == f"best val/loss {best.value:.4g} of 7 trials: {command}"
    assert len(jobs_of(tmp_path / "sweep")) == 7


def test_more_is_better_where_the_metric_says_so(searched, tmp_path):
    searched(near, LR, "monitor=val/accuracy", n_trials=1)
    assert study(tmp_path / "sweep").direction.name == "MAXIMIZE"


def test_what_gives_no_number_is_told_as_failed_and_listed(searched, tmp_path):
    ends = iter([1.0, math.inf, {"status": "failed", "error": "planted"}, 2.0, math.nan, {"status": "diverged"}])
    _, trials = searched(lambda own: next(ends), LR)
    assert [trial.value for trial in trials] == [1.0, None, None, 2.0, None, None]
    assert {trial.state.name for trial in trials if trial.value is None} == {"FAIL"}
    listed = [job["overrides"][1] for job in jobs_of(tmp_path / "sweep")]
    assert sorted(listed) == sorted(f"lr={lr}" for lr in values(trials))


def test_no_score_at_all_is_no_crash(searched, caplog):
    with caplog.at_level("INFO", "kindling"):
        searched(lambda own: {"status": "diverged"}, LR)
    assert caplog.messages[-1] == "none of 6 trials has a score"


@pytest.mark.slow
def test_one_seed_asks_for_the_same_trials_and_another_for_others(searched):
    _, one = searched(near, LR, folder="one", n_trials=12, batch=11)
    _, two = searched(near, LR, folder="two", n_trials=12, batch=11)
    _, other = searched(near, LR, folder="other", seed=1)
    assert [trial.params for trial in one] == [trial.params for trial in two]
    assert not set(values(one)) & set(values(other))


@pytest.mark.slow
def test_a_random_search_learns_nothing_from_its_trials(searched):
    space, how = ("lr=tag(log,interval(0.001,0.1))", "depth=range(1,5)"), {"n_trials": 13, "batch": 11}
    _, trials = searched(near, *space, folder="random", sampler="random", **how)
    _, tpe = searched(near, *space, folder="tpe", **how)
    untold = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    asked = [untold.ask(trials[0].distributions).params for _ in trials]
    assert [trial.params for trial in trials] == asked
    assert [trial.params for trial in tpe[:10]] == asked[:10]  # TPE starts with ten random trials
    assert [trial.params for trial in tpe[10:]] != asked[10:]


def test_a_random_search_goes_on_with_other_values(searched):
    searched(near, LR, n_trials=2, sampler="random")
    _, trials = searched(near, LR, n_trials=4, sampler="random")
    assert len(set(values(trials))) == 4


def test_an_experiment_may_say_what_is_searched_and_what_is_typed_goes_before_it(searched, monkeypatch):
    seen = []
    monkeypatch.setattr("kindling.sweeps.search.study.search", lambda typed, jobs, **how: seen.append((typed, how)))
    sweeper = OptunaSweeper(20, 20, 0, 1, None, "random", {"lr": "interval(0.001,0.1)", "depth": "range(1,5)"})
    with initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
        sweeper.loader, sweeper.jobs = GlobalHydra.instance().config_loader(), None
        sweeper.sweep(["depth=3", "width=7"])
    ((typed_words, how),) = seen
    assert (list(typed_words.space), typed_words.common) == (["lr"], ["depth=3", "width=7"])
    assert how == {"n_trials": 20, "batch": 20, "seed": 0, "sampler": "random"}


def test_a_search_goes_on_without_trying_the_same_again(searched, tmp_path):
    searched(near, LR)
    launcher, trials = searched(near, LR, n_trials=10)
    assert [len(batch) for batch in launcher.batches] == [3, 1]
    assert len(set(values(trials))) == len(jobs_of(tmp_path / "sweep")) == 10
    launcher, trials = searched(near, LR, n_trials=4)
    assert (launcher.batches, len(trials)) == ([], 10)


def test_what_a_killed_process_left_is_tried_again_first(searched, tmp_path):
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


def test_trials_that_are_one_job_are_trained_once(searched, tmp_path):
    launcher, trials = searched(near, "model=logistic", "depth=range(1,5)", "lr=0.1,0.01", n_trials=12)
    assert sum(len(batch) for batch in launcher.batches) == len(jobs_of(tmp_path / "sweep")) == 2
    assert {(trial.params["lr"], trial.value) for trial in trials} == {("0.1", 1.0), ("0.01", 0.0)}


def test_a_trial_counts_by_its_mean_over_seeds_and_folds(searched):
    def score(own):
        return float(own["lr"]) + int(own["seed"]) + 10 * int(own["data.fold"])

    launcher, trials = searched(score, LR, "seed=4", n_trials=2, batch=2, repeat=2, folds=3)
    assert [len(batch) for batch in launcher.batches] == [12]
    assert [trial.value for trial in trials] == pytest.approx([lr + 4.5 + 10 for lr in values(trials)])


def test_a_failed_job_ends_a_search_that_shall_stop(searched):
    ends = iter([1.0, {"status": "failed", "error": "planted"}, {}])  # the last is not run
    _, trials = searched(lambda own: next(ends), LR, "on_error=stop")
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "RUNNING"]


def test_another_search_is_refused_in_the_same_folder(searched, tmp_path):
    searched(near, LR, "activation=relu,tanh", n_trials=1)
    for words in ([LR, "activation=relu,gelu"], [LR], [LR, "activation=relu,tanh", "epochs=7"]):
        with pytest.raises(UserError, match=r"has another search \(.*\): take another sweep.name"):
            searched(near, *words)
    with pytest.raises(UserError, match=r"has another search \(mode=max, mode=min, monitor=val/f1, monitor=val/loss\)"):
        searched(near, LR, "activation=relu,tanh", "monitor=val/f1")
    searched(near, "lr=interval(0.01,0.2)", "activation=relu,tanh", n_trials=2)  # limits may be moved
    with (
        claim.claim(tmp_path / "sweep" / ".search", new=False),
        pytest.raises(UserError, match="is in use by another process"),
    ):
        searched(near, LR, "activation=relu,tanh")


@pytest.mark.parametrize(
    ("words", "numbers", "message"),
    [
        (["lr=0.1"], {}, "There is nothing to search: give a knob several values"),
        ([LR], {"n_trials": 0}, "hydra.sweeper.n_trials=0 cannot be: it must be a whole number from 1"),
        ([LR], {"batch": None}, "hydra.sweeper.batch=None cannot be"),
        ([LR], {"sampler": "grid"}, "hydra.sweeper.sampler=grid is unknown: take tpe or random"),
        (["seed=0,1"], {"repeat": 2}, "repeat=2 and seed=0,1 both say which seeds to take"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_its_folder_is_made(words, numbers, message, searched, tmp_path):
    with pytest.raises(UserError, match=message):
        searched(near, *words, **numbers)
    assert not (tmp_path / "sweep").exists()


def test_without_optuna_it_says_how_to_get_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "kindling.sweeps.search.study")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r'needs Optuna: pip install -e "\.\[optuna\]"'):
        OptunaSweeper(1, 1, 0, 1, None).sweep([])


def test_hydra_finds_the_plugin_without_optuna_or_torch(shell, tmp_path):
    code = "import sys, hydra_plugins.kindling_search; print({'optuna', 'torch'} & set(sys.modules))"
    (tmp_path / "light.py").write_text(code)
    assert shell(str(tmp_path / "light.py"), check=True, fresh=True).stdout.strip() == "set()"


@pytest.mark.slow
def test_the_lecture_s_random_search_ends_with_a_command_that_trains_its_best(shell, tmp_path):
    words = ["experiment=lectures/random_search", "epochs=2", "trainer=cpu", "hydra.sweeper.n_trials=6"]
    done = shell("train.py", *words, "sweep.name=one")
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
def test_a_search_by_the_command_line_goes_on_and_repeats_itself(shell, table, tmp_path):
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
