"""A member of a group equals the single run of the same config: weights, all recorded metrics and its result."""

import json

import pytest
import torch
from conftest import rows_of, weights_of
from sweeps.sweep_helpers import formed, trained_together
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TIGHT = 1e-9  # in float64; weights differ by 1e-15 to 1e-12
MEMBERS = [["seed=0", "lr=0.01"], ["seed=1", "lr=0.03"], ["seed=0", "lr=0.03"]]


def assert_equal_runs(job, folder, result):
    """Compare the job's folder with that of a single run."""
    single, member = rows_of(folder), rows_of(job.folder)
    assert len(single) == len(member)
    assert list(single[0]) == list(member[0])
    for one, other in zip(single, member, strict=True):
        for name, value in one.items():
            assert float(other[name]) == pytest.approx(float(value), rel=TIGHT, abs=TIGHT), (name, one["epoch"])
    for name in ("best", "last"):
        one, other = weights_of(folder, name), weights_of(job.folder, name)
        assert list(one) == list(other)
        for key in one:
            torch.testing.assert_close(other[key], one[key], rtol=0, atol=TIGHT, msg=f"{name} {key}")
    found = json.loads((job.folder / "result.json").read_text())
    for key in ("status", "epochs", "best_epoch", "monitor", "mode", "params", "command", "versions", "git"):
        assert found[key] == result[key], key
    assert found["metrics"] == pytest.approx(result["metrics"], rel=TIGHT, abs=TIGHT)
    best, single = (torch.load(f / "checkpoints/best.ckpt", weights_only=True) for f in (job.folder, folder))
    assert {k: v for k, v in best.items() if k != "state_dict"} == {
        k: v for k, v in single.items() if k != "state_dict"
    }


def compare(args, variants, run, tmp_path, only=None, name=""):
    args = [*args, "precision=64-true", "test=false"]
    jobs = trained_together(tmp_path / f"sweep{name}", [[*args, *own] for own in variants])
    for i in range(len(variants)) if only is None else only:
        result = run(*args, *variants[i], folder=f"single{name}{i}")
        assert_equal_runs(jobs[i], tmp_path / f"single{name}{i}", result)
    return jobs


OPTIMIZERS = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "nadam", "radam", "adadelta"]
slow = pytest.mark.slow


@slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fifty_epochs_equal_those_of_a_single_run(optimizer, run, tmp_path):
    args = ["data=diabetes", "hidden_sizes=[6,4]", "epochs=50", f"optimizer={optimizer}"]
    compare(args, MEMBERS, run, tmp_path, only=[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "args",
    [
        ["schedule=cosine", "optimizer=sgd"],
        ["schedule=onecycle", "optimizer=adam"],
        ["schedule=coslog4", "optimizer=adam"],
        ["schedule=step", "callbacks.schedule.build.step_size=3", "optimizer=momentum"],
        ["average=ema"],
        ["average=swa"],
        ["batch_norm=true"],
        ["activation=prelu"],
        ["model=wide_deep"],  # by vmap
        ["model=linear"],
        ["init=xavier"],
        ["loss=mse"],
        ["loss=hinge"],
        ["loss=perceptron"],
        ["label_smoothing=0.2"],
        ["data=line"],
        ["data=blobs", "data.centres=4"],
        ["batch_size=full"],
        ["data.val_share=0"],
        ["data.balance=true"],
        ["data.balance=true", "label_smoothing=0.2"],
        ["model=wide_deep", "data.balance=true"],  # by vmap
        ["data=blobs", "data.balance=true"],
        ["data=diabetes", "data.weight=age"],
        ["monitor=val/accuracy"],
        ["data.folds=3", "data.fold=1"],
        ["data.passes=3"],
        ["drop_last=true", "data.passes=2"],
        ["lr_factors={*.bias: 0.1, net.0.weight: 3}", "optimizer=adamw", "beta2=0.95"],
        ["monitor=val/accuracy", "callbacks.checkpoints.ties=last"],
        ["model=realmlp", "data=diabetes", "width=8", "batch_size=64"],  # by vmap
        ["model=realmlp", "data=csv", "data.path=data/diabetes.csv", "data.target=bmi", "width=8", "batch_size=64"],
        ["activation=rrelu"],
        ["model=wide_deep", "dropout=0.3"],  # by vmap
        ["dropout=0.3", "batch_norm=true", "label_smoothing=0.1", "average=ema", "weight_decay=0.01"],
    ],
    ids=" ".join,
)
def test_members_equal_single_runs_with_these_options(args, run, tmp_path):
    compare(["epochs=12", *args], MEMBERS, run, tmp_path, only=[1])


@slow
def test_members_stop_early_independently(run, tmp_path):
    jobs = compare(["epochs=60", "patience=3", "width=8"], MEMBERS, run, tmp_path)
    assert len({len(rows_of(job.folder)) for job in jobs}) > 1


@slow
def test_a_plateau_schedule_follows_the_loss_of_each_member(run, tmp_path):
    args = ["epochs=40", "schedule=plateau", "callbacks.schedule.build.patience=1", "optimizer=sgd"]
    jobs = compare(args, MEMBERS, run, tmp_path, only=[0, 1])
    assert len({tuple(row["lr"] for row in rows_of(job.folder)) for job in jobs}) > 1


@slow
def test_members_may_differ_in_penalties_clipping_and_smoothing(run, tmp_path):
    own = [["l1=0.01", "clip=0.5"], ["weight_decay=0.1", "clip=0.1", "label_smoothing=0.2"], ["seed=3"]]
    compare(["epochs=5", "width=8"], own, run, tmp_path)


@slow
def test_members_may_differ_in_decoupled_weight_decay(run, tmp_path):
    own = [["weight_decay=0.1"], ["weight_decay=0.3"]]
    compare(["epochs=5", "width=8", "optimizer=adamw"], own, run, tmp_path)


@slow
def test_dropout_draws_the_numbers_of_a_single_run_at_every_rate(run, tmp_path):
    args, variants = ["epochs=6", "width=8"], [[f"dropout={p}", f"seed={seed}"] for p in (0.1, 0.5) for seed in (0, 1)]
    groups, _ = formed([[*args, *own] for own in variants])
    assert [len(group.jobs) for group in groups] == [4]
    compare(args, variants, run, tmp_path, only=[0, 3])


def test_models_of_one_shape_with_different_activations_and_optimizers_train_in_one_group(run, tmp_path):
    variants = [[f"activation={a}", f"optimizer={o}"] for a in ("relu", "tanh", "sigmoid") for o in ("sgd", "adam")]
    args = ["epochs=6", "hidden_sizes=[6,4]"]
    groups, _ = formed([[*args, *own] for own in variants])
    assert [len(group.jobs) for group in groups] == [6]
    compare(args, variants, run, tmp_path, only=[0, 3, 4])


def test_the_order_of_the_jobs_has_no_effect(tmp_path):
    args = ["precision=64-true", "epochs=5", "width=4"]
    batch = [[*args, f"lr={lr}", f"seed={seed}"] for lr in (0.1, 0.01) for seed in range(3)]
    one = trained_together(tmp_path / "one", batch)
    other = trained_together(tmp_path / "other", batch[::-1])[::-1]
    for first, second in zip(one, other, strict=True):
        assert first.key == second.key
        for key, weight in weights_of(first.folder).items():
            torch.testing.assert_close(weights_of(second.folder)[key], weight, rtol=0, atol=1e-12)


def test_a_member_that_diverges_does_not_affect_others(run, tmp_path):
    variants = [
        ["lr=1e30", "activation=identity"],
        ["lr=0.01", "activation=identity"],
        ["lr=1e9", "activation=sigmoid"],
    ]
    args = ["epochs=8", "depth=3", "width=8", "optimizer=sgd"]
    jobs = trained_together(tmp_path / "sweep", [[*args, *own] for own in variants])
    results = [json.loads((job.folder / "result.json").read_text()) for job in jobs]
    assert [result["status"] for result in results] == ["diverged", "finished", "diverged"]
    for i, own in enumerate(variants):
        single = run(*args, *own, "test=false", folder=f"single{i}")
        assert (single["status"], single["epochs"]) == (results[i]["status"], results[i]["epochs"])
        if i < 2:
            assert single.get("diverged") == results[i].get("diverged")
    compare(args, variants, run, tmp_path, only=[1], name="double")


def test_a_member_writes_the_files_of_a_single_run(run, tmp_path):
    jobs = trained_together(tmp_path / "sweep", [["epochs=4", *own] for own in MEMBERS])
    run("epochs=4", *MEMBERS[1], "test=false")

    def left(folder):
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        return {"events" if "tfevents" in name else name for name in files} - {"train.log"}

    assert left(jobs[1].folder) - {".hydra/config.yaml", ".hydra/overrides.yaml"} == left(tmp_path / "run")
    single, member = (EventAccumulator(str(f)).Reload() for f in (tmp_path / "run", jobs[1].folder))
    assert set(member.Tags()["scalars"]) == set(single.Tags()["scalars"])
    for tag in single.Tags()["scalars"]:
        one, other = ([(e.step, e.value) for e in events.Scalars(tag)] for events in (single, member))
        assert [step for step, _ in one] == [step for step, _ in other]
        assert [v for _, v in other] == pytest.approx([v for _, v in one], rel=1e-4, abs=1e-5), tag
    assert member.PluginTagToContent("hparams").keys() == single.PluginTagToContent("hparams").keys()


LEAVE = [
    ["seed=0", "lr=0.1", "activation=tanh"],
    ["seed=1", "lr=0.003", "optimizer=sgd"],
    ["seed=2", "lr=0.03", "label_smoothing=0.1"],
    ["seed=3", "lr=0.001", "schedule=plateau"],
    ["seed=4", "lr=0.01", "schedule=cosine", "activation=tanh"],
    ["seed=5", "lr=0.1", "optimizer=sgd", "schedule=plateau"],
]


@slow
def test_members_that_have_ended_leave_and_all_equal_single_runs(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("kindling.sweeps.grouped.tracker.MIN_SAVED_STEPS", 1)
    args = ["epochs=40", "patience=2", "width=8", "batch_norm=true", "dropout=0.1"]
    with caplog.at_level("INFO", "kindling"):
        jobs = compare(args, LEAVE, run, tmp_path)
    left = [record.message for record in caplog.records if "the others continue without them" in record.message]
    assert len(left) >= 2, left
    assert len({json.loads((job.folder / "result.json").read_text())["epochs"] for job in jobs}) >= 4


def test_groups_are_limited_by_memory_and_deterministic():
    batch = [["hidden_sizes=[6,4]", f"seed={seed}"] for seed in range(10)]
    (whole,), _ = formed(batch)
    parts, _ = formed(batch, most_bytes=400_000)
    assert len(parts) > 1
    assert [job.key for part in parts for job in part.jobs] == [job.key for job in whole.jobs]
    assert [part.name for part in parts] == [part.name for part in formed(batch, most_bytes=400_000)[0]]


@pytest.mark.parametrize(
    ("epoch", "members", "args"),
    [
        (1, 3, ["schedule=cosine"]),
        pytest.param(2, 3, ["schedule=cosine"], marks=slow),
        (1, 3, ["dropout=0.3", "label_smoothing=0.1", "data.balance=true"]),
        pytest.param(1, 3, ["activation=rrelu", "batch_norm=true"], marks=slow),
        pytest.param(14, 1, ["epochs=60", "patience=4", "dropout=0.3"], marks=slow),  # two members have left
    ],
)
def test_a_killed_group_is_resumed_with_bitwise_equal_results(epoch, members, args, tmp_path, monkeypatch):
    from kindling.sweeps.grouped import train as module

    monkeypatch.setattr("kindling.sweeps.grouped.tracker.MIN_SAVED_STEPS", 1)
    batch = [["epochs=4", "width=8", *args, *own] for own in MEMBERS]
    undisturbed = trained_together(tmp_path / "one", batch)

    class Killed(Exception):
        pass

    def save(self, trainer, whole=module.GroupCheckpoint.save):
        whole(self, trainer)
        if trainer.current_epoch >= epoch and len(self.members) == members:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module.GroupCheckpoint, "save", save)
        patch.setattr(
            module.GroupCheckpoint,
            "__init__",
            lambda self, *own: (
                module.PeriodicCheckpoint.__init__(self, -1) or vars(self).update(path=own[0], members=own[1])
            ),
        )
        with pytest.raises(Killed):
            trained_together(tmp_path / "other", batch)
    assert len(list((tmp_path / "other" / "groups").glob("*.ckpt"))) == 1
    resumed = trained_together(tmp_path / "other", batch)
    assert_same_bits(undisturbed, resumed)
    assert not list((tmp_path / "other" / "groups").iterdir())


@slow
@pytest.mark.parametrize("place", ["write_members", "drop_ended"])
def test_a_group_killed_while_members_leave_is_resumed_with_bitwise_equal_results(place, tmp_path, monkeypatch):
    from kindling.sweeps.grouped import train as module

    monkeypatch.setattr("kindling.sweeps.grouped.tracker.MIN_SAVED_STEPS", 1)
    batch = [["epochs=60", "width=8", "patience=4", "dropout=0.3", *own] for own in MEMBERS]
    undisturbed = trained_together(tmp_path / "one", batch)

    class Killed(Exception):
        pass

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, place, killed)
        with pytest.raises(Killed):
            trained_together(tmp_path / "other", batch)
    assert_same_bits(undisturbed, trained_together(tmp_path / "other", batch))


def assert_same_bits(jobs, others):
    for one, other in zip(jobs, others, strict=True):
        assert (one.folder / "metrics.csv").read_text() == (other.folder / "metrics.csv").read_text()
        for name in ("best", "last"):
            weights = weights_of(other.folder, name)
            assert all(torch.equal(weight, weights[k]) for k, weight in weights_of(one.folder, name).items())
