"""Planning a sweep: jobs are composed as by Hydra, identified by what affects them, and checked before any starts."""

import random

import pytest
from conftest import PACKAGE, slow_after
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from sweeps.sweep_helpers import loader_and_master, planned

from kindling import UserError
from kindling.sweeps.code_version import _reached
from kindling.sweeps.compose import Composer
from kindling.sweeps.folder import SweepFolder
from kindling.sweeps.grid import with_repetitions
from kindling.sweeps.plan import _own_files


def by_hydra(loader, master, args):
    full = loader.load_sweep_config(master, args)
    raw = OmegaConf.to_container(OmegaConf.masked_copy(full, [key for key in full if key != "hydra"]))
    return raw, OmegaConf.to_container(OmegaConf.create({**raw, "folder": ""}), resolve=True)


def grid():
    values = {"activation": ("relu", "tanh"), "optimizer": ("sgd", "adam"), "lr": (0.1, 1e-3), "seed": range(5)}
    chooser = random.Random(0)
    return [[f"{key}={chooser.choice(list(options))}" for key, options in values.items()] for _ in range(6)]


TRICKY = [
    ["monitor=val/accuracy"],  # determines `mode`, by a resolver
    ["lr=${depth}"],
    ["hidden_sizes=[6,4]"],
    ["model.depth=7"],
    ["schedule=onecycle", "lr=0.5"],
    ["callbacks.progress=null"],
    ["+trainer.deterministic=true", "depth=3"],
    ["data=csv", "data.path=a b.csv"],
    ["experiment=lectures/diabetes", "lr=3"],
    ["optimizer={lr:3}"],
    ["~schedule"],
]


@pytest.mark.parametrize("args", [*slow_after(2, grid()), *slow_after(3, TRICKY)], ids=" ".join)
def test_a_job_is_composed_as_by_hydra(args):
    loader, master = loader_and_master()
    compose = Composer(loader, master)
    compose(["lr=0.7", "seed=99"])  # fills the caches
    job = compose(args)
    assert (job.raw, job.resolved) == by_hydra(loader, master, args)


@pytest.mark.parametrize("override", ["epocs=3", "model.foo=1"])
def test_an_unknown_name_is_rejected(override):
    with pytest.raises(ConfigCompositionException):
        planned([["lr=0.1", override]])


def test_invalid_values_are_rejected_before_the_first_job():
    with pytest.raises(UserError, match="depth=0 is invalid"):
        planned([["depth=1"], ["depth=0"]])
    with pytest.raises(UserError, match=r"data\.path must be given"):
        planned([["data=csv"]])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (["model=logistic", "depth=1"], ["model=logistic", "depth=4"], True),
        (["hidden_sizes=[6,4]", "depth=1"], ["hidden_sizes=[6,4]", "depth=4"], True),
        (["degree=1"], ["degree=3"], True),
        (["features=polynomial", "degree=1"], ["features=polynomial", "degree=3"], False),
        (["logger=csv"], [], True),
        (["depth=1"], ["depth=4"], False),
        (["seed=0"], ["seed=1"], False),
        (["lr=0.1"], ["lr=0.2"], False),
        (["epochs=5"], ["epochs=6"], False),
    ],
)
def test_jobs_are_duplicates_if_they_differ_only_in_options_without_effect(one, other, same):
    first, second = planned([one, other])
    assert (first.key == second.key) == same


def test_changed_data_make_a_different_job(tmp_path):
    path = tmp_path / "a.csv"
    args = ["data=csv", f"data.path={path}"]
    path.write_text("a,b\n1,2\n")
    (before,) = planned([args])
    path.write_text("a,b\n1,3\n")
    (after,) = planned([args])
    assert before.key != after.key


@pytest.mark.parametrize("files", [("__init__", "net", "layers"), ("net", "layers")], ids=["package", "namespace"])
def test_a_changed_file_of_an_own_package_makes_a_different_job(tmp_path, monkeypatch, files):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / f"own_package_{len(files)}"
    package.mkdir()
    for name in files:
        (package / f"{name}.py").write_text("")
    (package / ".#net.py").symlink_to("nowhere")  # as Emacs locks a file
    args = [f"model={{_target_: {package.name}.net.Net}}"]
    keys = [planned([args])[0].key]
    for name in ("net", "layers"):
        (package / f"{name}.py").write_text("SIZE = 2\n")
        keys.append(planned([args])[0].key)
    assert len(set(keys)) == 3


@pytest.mark.parametrize("module", ["os", "time", "builtins", "numpy", "json", "no_such_module"])
def test_installed_modules_do_not_belong_to_a_jobs_code(module):
    assert _own_files(module) == []


def test_the_code_of_a_job_includes_the_names_of_activations_and_not_the_figures():
    starts = [PACKAGE / "models" / "mlp.py", PACKAGE / "training" / "monitored.py"]
    found = {file.relative_to(PACKAGE).as_posix() for file in _reached(starts)}
    assert {"activations.py", "models/base.py", "tasks/losses.py", "cli/monitor.py"} <= found
    assert not [name for name in found if name.startswith(("plots/", "doctor/", "commands/", "cli/folders/"))]


def test_folders_are_named_after_what_differs_and_found_again(tmp_path):
    args = [["depth=2", "lr=0.1", "seed=0"], ["depth=2", "lr=0.2", "seed=0"]]
    first, second = planned(args)
    SweepFolder(tmp_path / "sweep").place([first, second])
    assert first.folder.name == f"lr=0.1_{first.key}"
    first.folder.mkdir()
    (first.folder / "result.json").write_text('{"status": "failed", "error": "planted"}')
    again = SweepFolder(tmp_path / "other")  # the first folder is locked
    again.path = tmp_path / "sweep"
    again.place([first, second])
    assert (first.folder.name, again.states[first.key]) == (f"lr=0.1_{first.key}.2", "retry")
    assert (second.folder.name, again.states[second.key]) == (f"lr=0.2_{second.key}", "new")


def test_two_processes_cannot_use_one_sweep_folder(tmp_path):
    folder = SweepFolder(tmp_path)
    with pytest.raises(UserError, match="is in use by another process"):
        SweepFolder(tmp_path)
    assert folder.path == tmp_path


def test_repeat_and_folds_are_expanded_to_lists():
    assert with_repetitions(["lr=1,2"], 3, None) == ["lr=1,2", "seed=0,1,2"]
    assert with_repetitions(["seed=7", "lr=1"], 2, None) == ["lr=1", "seed=7,8"]
    assert with_repetitions([], 1, 3) == ["data.fold=0,1,2", "data.folds=3"]
    with pytest.raises(UserError, match="repeat=3 and seed=1,2 both set seed"):
        with_repetitions(["seed=1,2"], 3, None)


def test_an_expression_falls_back_to_the_second_value():
    assert OmegaConf.create({"a": None, "b": "${or:${a},x}"}).b == "x"


def test_failed_jobs_are_retried_unless_they_have_left_an_unfinished_group(tmp_path):
    jobs = planned([["data=ring", "seed=0"], ["data=ring", "seed=1"]])
    with SweepFolder(tmp_path) as folder:
        folder.place(jobs)
        folder.groups = {"g": [job.key for job in jobs]}
        folder.save(jobs)
    first = jobs[0].folder
    first.mkdir()
    (first / "result.json").write_text('{"status": "diverged"}', encoding="utf-8")
    checkpoint = tmp_path / "groups" / "g.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    with SweepFolder(tmp_path) as folder:
        folder.place(jobs)
        assert [folder.states[job.key] for job in jobs] == ["finished", "new"]
    assert jobs[0].folder == first
    checkpoint.unlink()
    for number in (2, 3):
        with SweepFolder(tmp_path) as folder:
            folder.place(jobs)
            assert folder.states[jobs[0].key] == "retry"
        assert jobs[0].folder.name == f"{first.name}.{number}"
        jobs[0].folder.mkdir()
        (jobs[0].folder / "result.json").write_text('{"status": "failed"}', encoding="utf-8")
