"""The doctor's suggestions differ from the command that was run, and omit the option that was the cause."""

import logging
import shlex

import pytest
from conftest import slow_after

from kindling.callbacks import doctor as callback
from kindling.doctor import rules
from kindling.doctor.case import Case
from kindling.doctor.measurements import History, Snapshot
from kindling.doctor.outcomes import few_samples
from kindling.doctor.suggested_run import Command, replaced

FLAT = History([0.69] * 20, [0.69] * 20, [Snapshot(0, [0.1, 0.1, 0.1], 0.5, 0.69, None, None)])
FALLING = History([1 - i / 40 for i in range(20)], [1 - i / 40 for i in range(20)], FLAT.snapshots)
UNDERFIT = {
    "score": ("accuracy", 0.6),
    "simple": {"the most frequent class": 0.6, "a linear model": 0.8},
    "val_samples": 77,
    "train_samples": 600,
}
# command -> overrides that the suggestion must not keep
LEARNS_NOTHING = {
    "weight_decay=0.1 l1=0.01 clip=1 optimizer=adam lr=0.01 epochs=100": ["weight_decay=0.1", "l1=0.01"],
    "epochs=100 lr=0.010 optimizer=adam": [],
    "optimizer=adam epochs=200 depth=2 lr=0.01": [],
    "optimizer.weight_decay=0.5": ["optimizer.weight_decay=0.5"],
    "dropout=0.9": ["dropout=0.9"],
    "model.dropout=0.9": ["model.dropout=0.9"],
    "callbacks.init.init=zeros": ["callbacks.init.init=zeros"],
    "optimizer.lr=0": ["optimizer.lr=0"],
    "clip=1e-5 label_smoothing=0.9": ["clip=1e-5", "label_smoothing=0.9"],
    "max_steps=3": ["max_steps=3"],
    "average=ema max_steps=9": ["average=ema"],
    "scale=none": ["scale=none"],
    "schedule=step": ["schedule=step"],
    "batch_size=full": ["batch_size=full"],
    "activation=identity": ["activation=identity"],
    "activation=sign": ["activation=sign"],
    "activation=step depth=1": ["activation=step"],
    "init=zeros activation=sign": ["init=zeros", "activation=sign"],
    "init=normal": ["init=normal"],
    "hidden_sizes=[2]": ["hidden_sizes=[2]"],
    "model=cnn data=mnist_sample dropout=0.9": ["dropout=0.9"],
    "data=ring features=product": ["features=product"],
    "experiment=lectures/blobs_sigmoid5 weight_decay=1": ["weight_decay=1"],
}


def case(line, **measured):
    measured = {"history": FLAT, "best_epoch": 20, "start_lr": 0.01, "widest": 100.0} | measured
    return Case(command=Command(f"python train.py {line}"), **measured)


def suggested(sentence):
    command = sentence.split(" Try: ")[1]
    assert command.startswith("python train.py ")
    return command


@pytest.mark.parametrize("line", slow_after(6, LEARNS_NOTHING))
def test_the_suggestion_is_a_different_run_without_the_cause(line):
    unhealthy = case(line, **UNDERFIT)
    advice = rules.advice(unhealthy)
    assert advice
    for command in map(suggested, advice):
        assert Command(command)._built() != unhealthy.command._built()
        assert not set(LEARNS_NOTHING[line]) & set(shlex.split(command))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("weight_decay=0.1 l1=0.01 clip=1", "weight_decay=0.1 and l1=0.01."),
        ("dropout=0.9", "dropout=0.9."),
        ("model.dropout=0.9", "dropout=0.9."),
        ("optimizer.weight_decay=1 optimizer=sgd schedule=cosine", "weight_decay=1."),
        ("callbacks.init.init=zeros", "init=zeros"),
        ("model.activation=sign", "activation=sign"),
        ("optimizer.lr=0", "The learning rate is 0"),
        ("max_steps=3", "max_steps=3."),
        ("activation=sign", "activation=sign"),
        ("init=zeros", "init=zeros"),
        ("schedule=step", "schedule=step."),
        ("batch_size=full", "batch_size=full."),
    ],
)
def test_the_option_that_keeps_a_run_from_learning_is_named(line, expected):
    assert expected in rules.advice(case(line, **UNDERFIT))[0]


@pytest.mark.parametrize(("line", "other"), [("lr=0.010", "lr=0.01"), ("activation=ReLU", ""), ("width=32 seed=0", "")])
def test_two_spellings_of_the_same_run_are_equal(line, other):
    assert Command(f"python train.py {line}").with_options(*other.split(), "epochs=100") is None


@pytest.mark.parametrize("overrides", [["width=64"], ["dropout=0.5"], ["degree=3"], ["activation=relu"]])
def test_an_option_that_nothing_reads_is_not_suggested(overrides):
    assert Command("python train.py model=linear").with_options(*overrides) is None


@pytest.mark.parametrize(
    ("line", "overrides"),
    [
        ("lr=1 data=blobs", ["lr=2e-3"]),
        ("optimizer.lr=1", ["lr=2e-3"]),
        ("experiment=lectures/blobs_sigmoid5", ["clip=1", "hidden_sizes=[128,128]"]),
        ("data=ring", ["activation=tanh", "optimizer=sgd"]),
        ("", ["monitor=val/accuracy"]),
    ],
)
def test_a_suggestion_has_the_config_that_hydra_composes(line, overrides):
    new = Command(f"python train.py {line}").with_options(*overrides)
    composed = Command(new.line)
    assert (new.config, new.read, new.options) == (composed.config, composed.read, composed.options)


def test_an_invalid_config_is_not_suggested():
    assert Command("python train.py experiment=lectures/mnist_fast").with_options("schedule=none") is None


def test_a_suggestion_trains_without_the_debug_preset():
    assert replaced("python train.py debug=resume model=deep", "depth=1") == "python train.py model=deep depth=1"


def test_nested_overrides_of_the_same_option_are_replaced():
    line = "python train.py optimizer.lr=1 data.split_seed=2 callbacks.gradients.l1=1"
    assert replaced(line, "lr=0.1", "l1=0") == "python train.py data.split_seed=2 lr=0.1 l1=0"


def test_the_learning_rate_is_that_of_the_config_and_not_of_a_warm_up():
    falling = case("schedule=onecycle optimizer=sgd lr=0.001", history=FALLING, start_lr=0.00004)
    assert suggested(rules.advice(falling)[0]).endswith(" lr=0.01")


@pytest.mark.parametrize(
    ("line", "is_named"),
    [
        ("lr=0 epochs=3", True),
        ("experiment=lectures/line_lr lr=0", True),
        ("init=src/kindling/lectures/weights/line.json data=line model=linear lr=0", False),
        ("experiment=lectures/xor_gates", False),
        ("experiment=lectures/blobs_gaussian", False),
        ("experiment=lectures/dates_formula", False),
        ("experiment=lectures/playback_copy", False),
    ],
)
def test_a_learning_rate_of_0_is_named_unless_it_is_intended(line, is_named):
    assert [sentence[:17] for sentence in rules.advice(case(line, start_lr=0.0))] == ["The learning rate"] * is_named


@pytest.mark.parametrize(("train", "val", "folds"), [(2, 0, None), (2, 1, 3), (9, 1, 5)])
def test_the_number_of_folds_is_limited_by_the_smallest_class(train, val, folds):
    measured = {"class_counts": {"a": train, "b": 50}, "val_class_counts": {"a": val, "b": 5}, "inputs": 3}
    found = few_samples(case("", **measured))
    assert (found and found[1]) == (folds and [("-m", f"folds={folds}")])


def test_folds_are_suggested_with_m_in_front_and_not_within_folds():
    measured = {"class_counts": {"a": 9, "b": 50}, "val_class_counts": {"a": 2, "b": 5}, "inputs": 3}
    (sentence,) = rules.advice(case("lr=0.1", history=History(), **measured))
    assert suggested(sentence) == "python train.py -m lr=0.1 folds=5"
    assert rules.advice(case("data.folds=5", history=History(), **measured)) == []


def test_f1_is_suggested_if_validation_has_every_class_and_it_is_not_monitored_yet():
    measured = {"class_counts": {"a": 5, "b": 500}, "val_class_counts": {"a": 1, "b": 50}, "history": History()}
    assert suggested(rules.advice(case("", **measured))[0]) == "python train.py data.balance=true monitor=val/f1"
    assert rules.advice(case("monitor=val/f1", **measured)) == []
    assert rules.advice(case("", balanced=True, **measured)) == []
    assert rules.advice(case("", **measured | {"val_class_counts": {"a": 0, "b": 50}})) == []


@pytest.mark.parametrize(
    ("linear", "sentence"),
    [(0.9, "a linear model reaches 0.9 (should be at most 0.02 below that)."),
     (0.5, "the mean reaches 0.5 (should be more than 0.02 above that).")],
)  # fmt: skip
def test_an_underfitting_run_is_told_the_bound_that_it_misses(linear, sentence):
    measured = {"score": ("r2", 0.5), "simple": {"the mean": 0.5, "a linear model": linear}, "val_samples": 99}
    assert sentence in rules.advice(case("", **measured))[0]


def test_a_huge_r2_is_formatted_briefly():
    measured = {"score": ("r2", -7.25e18), "simple": {"the mean": 0.0, "a linear model": 0.9}, "val_samples": 9}
    assert "r2 is -7.25e+18 on" in rules.advice(case("data=diabetes", **measured))[0]


def test_a_learning_rate_far_too_high_is_replaced_by_the_default():
    unhealthy = case("data=ring optimizer=sgd lr=1e9", diverged="the training loss was not finite")
    assert suggested(rules.advice(unhealthy)[0]) == "python train.py data=ring optimizer=sgd lr=0.1"


@pytest.mark.parametrize("history", [History(), History([float("nan")], [float("nan")], FLAT.snapshots)])
@pytest.mark.parametrize("diverged", [None, "the training loss was not finite"])
def test_a_run_without_losses_gets_advice_or_none(history, diverged):
    assert isinstance(rules.advice(case("", history=history, diverged=diverged, best_epoch=0)), list)


def test_an_error_in_the_doctor_is_logged_and_does_not_end_the_run(run, monkeypatch, caplog):
    def fail(*_, **__):
        raise ZeroDivisionError("of no use")

    monkeypatch.setattr(callback, "examine", fail)
    with caplog.at_level(logging.WARNING, "kindling"):
        result = run("data=ring", "epochs=1")
    assert result["advice"] == []
    assert "test/loss" in result["metrics"]
    assert [r.message for r in caplog.records] == ["no advice: computing it failed with ZeroDivisionError: of no use"]


def test_an_error_in_the_advice_is_logged(run, monkeypatch, caplog):
    monkeypatch.setattr(callback, "advice", lambda _: {}["missing"])
    with caplog.at_level(logging.WARNING, "kindling"):
        assert run("data=ring", "epochs=1")["status"] == "finished"
    assert "no advice: computing it failed with KeyError: 'missing'" in caplog.text


def test_overfitting_is_named_at_the_epoch_of_the_lowest_loss_and_before_underfitting():
    losses = History(
        train_loss=[0.7 * 0.7**i for i in range(20)],
        val_loss=[0.5, 0.4, 0.45, *(0.5 + 0.1 * i for i in range(17))],
        snapshots=FLAT.snapshots,
    )
    simple = {"the most frequent class": 0.6, "a linear model": 0.9}
    measured = {"best_epoch": 19, "score": ("accuracy", 0.7), "simple": simple, "val_samples": 1000}
    advice = rules.advice(case("monitor=val/f1", history=losses, **measured))
    assert "The model overfits" in advice[0]
    assert "at epoch 2 " in advice[0]
    assert not [line for line in advice if "underfits" in line]
