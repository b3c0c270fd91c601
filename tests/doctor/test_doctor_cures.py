"""Each rule's suggestion leads to a better result, usually a lower validation loss."""

import shlex

import pytest
from conftest import PLAIN, rows_of

STEEP = ["data=polynomial", "data.coefficients=[0,100,200]", "optimizer=sgd", "lr=1e-5", "epochs=20"]
# rule -> an unhealthy run and its sentence
UNHEALTHY = {
    "diverged": ("data=line optimizer=sgd lr=1.5 model=linear", "Training diverged"),
    "diverged at once": ("data=polynomial optimizer=momentum lr=100", "Training diverged"),
    "diverged by inputs that are not scaled": ("data=dates scale=none optimizer=sgd", "Training diverged"),
    "diverged by weight_decay": ("optimizer=adamw weight_decay=20 lr=0.1", "Training diverged"),
    "scales": ("data=diabetes scale=none", "standard deviations of the inputs differ"),
    "vanishing, bounded": ("depth=12 activation=sigmoid optimizer=sgd epochs=30", "The gradient vanishes"),
    "vanishing, rectified": ("depth=20 width=64 optimizer=sgd epochs=20", "The gradient vanishes"),
    "exploding": ("width=512 depth=8 init=normal epochs=5 optimizer=sgd lr=0.001", "The gradient explodes"),
    "exploding, clipped": ("data=dates width=512 depth=8 init=kaiming epochs=10", "The gradient explodes"),
    "dead": ("data=diabetes lr=0.3 depth=4 epochs=30", "of the rectified units"),
    "saturated": ("data=diabetes activation=tanh lr=0.3 epochs=30", "at the limits of their range"),
    "lr_too_high": ("data=diabetes activation=tanh lr=1 epochs=30", "but was"),
    "lr_too_high, fluctuates": ("data=diabetes lr=0.3 depth=4 epochs=30", "The training loss fluctuates"),
    "lr_too_low": ("data=diabetes optimizer=sgd lr=1e-4 epochs=30", "was still falling"),
    "lr_too_low, few steps": ("batch_size=full epochs=20", "was still falling"),
    "underfit, linear": ("data=xor model=linear", "The model underfits"),
    "underfit, identity": ("data=xor activation=identity", "activation=identity"),
    "underfit, schedule": ("schedule=step optimizer=sgd lr=0.003", "schedule=step"),
    "blocked, zeros": ("init=zeros epochs=20", "init=zeros"),
    "blocked, sign": ("activation=sign epochs=20", "activation=sign"),
    "blocked, step": ("activation=step depth=1 epochs=20", "activation=step"),
    "limited, penalties": (
        "weight_decay=0.1 l1=0.01 clip=1 optimizer=adam lr=0.01",
        "weight_decay=0.1 and l1=0.01",
    ),
    "limited, dropout": ("dropout=0.95 epochs=30", "dropout=0.95"),
    "limited, clip": ("clip=0.0001 optimizer=sgd epochs=30", "clip=0.0001"),
    "limited, max_steps": ("max_steps=20 optimizer=sgd", "max_steps=20"),
    "limited, average": ("average=ema epochs=3 optimizer=sgd batch_size=full", "average=ema"),
    "limited, smoothing": ("label_smoothing=0.95 weight_decay=0.5", "weight_decay=0.5 and label_smoothing=0.95"),
    "lr 0": ("lr=0 epochs=3", "The learning rate is 0"),
}


OVERFIT = {"narrow": "data=diabetes", "broad": "depth=4 width=128 epochs=40"}


def improved(run, before, sentence):
    """Run the command suggested with a sentence, and return its result."""
    (line,) = [line for line in before["advice"] if sentence in line]
    overrides = shlex.split(line.split(" Try: ")[1])[2:]
    return run(*(override for override in overrides if override not in ("trainer=cpu", *PLAIN)), folder="after")


@pytest.mark.slow
@pytest.mark.parametrize(("line", "sentence"), UNHEALTHY.values(), ids=UNHEALTHY)
def test_the_suggestion_has_a_lower_validation_loss(run, line, sentence):
    before = run(*line.split(), folder="before")
    after = improved(run, before, sentence)
    assert after["status"] == "finished"
    assert after["metrics"]["val/loss"] < before["metrics"].get("val/loss", float("inf"))


@pytest.mark.slow
@pytest.mark.parametrize("line", OVERFIT.values(), ids=OVERFIT)
def test_the_validation_loss_rises_less_until_the_last_epoch(run, line, tmp_path):
    """The best epoch does not improve: 0.365 with and without the suggestion (data=diabetes, mean of 20 seeds)."""
    improved(run, run(*line.split(), folder="before"), "The model overfits")
    before, after = ([float(row["val/loss"]) for row in rows_of(tmp_path / name)] for name in ("before", "after"))
    assert after[-1] < before[-1]
    assert after[-1] / min(after) < before[-1] / min(before)


@pytest.mark.slow
def test_scaling_a_target_lowers_the_error_in_its_own_unit(run):
    before = run(*STEEP, "data.scale_target=none", folder="before")
    assert improved(run, before, "The gradient explodes")["metrics"]["val/mse"] < before["metrics"]["val/mse"]


@pytest.mark.slow
def test_the_best_epoch_by_f1_has_at_least_the_f1_of_the_best_epoch_by_loss(run, tmp_path):
    rows = [f"{i % 7},{i % 5},{i % 11},{'rare' if i % 7 + i % 5 > 9 else 'usual'}" for i in range(400)]
    (tmp_path / "few.csv").write_text("\n".join(["a,b,c,label", *rows]) + "\n")
    table = ["data=csv", f"data.path={tmp_path / 'few.csv'}", "data.target=label", "data.val_share=0.3"]
    before = run(*table, folder="before")
    after = improved(run, before, "of the training samples are rare")
    assert after["metrics"]["val/f1"] >= before["metrics"]["val/f1"]


@pytest.mark.slow
def test_the_suggested_folds_are_all_trained(shell, tmp_path):
    """The suggestion cannot improve the score; it shows how much the scores of splits differ."""
    rows = [f"{i % 7},{i % 5},{i % 3},{i % 2}" for i in range(24)]
    (tmp_path / "few.csv").write_text("\n".join(["a,b,c,label", *rows]) + "\n")
    table = ["data=csv", "data.path=few.csv", "data.target=label", "epochs=2", *PLAIN, "trainer=cpu"]
    advice = shell("train.py", *table).stdout.partition("and its score depends on the split.")[2]
    args = shlex.split(advice.partition("Try: ")[2].splitlines()[0])[2:]
    done = shell("train.py", *args)
    assert done.returncode == 0, done.stderr
    assert "5/5" in done.stdout
