"""Each rule's suggestion is run, and has a better score: the lower validation loss, where not said otherwise."""

import shlex

import pytest
from conftest import PLAIN, rows_of

STEEP = ["data=polynomial", "data.coefficients=[0,100,200]", "optimizer=sgd", "lr=1e-5", "epochs=20"]
# rule -> an ill run and its sentence
ILL = {
    "diverged": ("data=line optimizer=sgd lr=1.5 model=linear", "Training diverged"),
    "diverged at once": ("data=polynomial optimizer=momentum lr=100", "Training diverged"),
    "diverged by inputs that are not scaled": ("data=dates scale=none optimizer=sgd", "Training diverged"),
    "diverged by weight_decay": ("optimizer=adamw weight_decay=20 lr=0.1", "Training diverged"),
    "scales": ("data=diabetes scale=none", "standard deviations differ"),
    "vanishing, bounded": ("depth=12 activation=sigmoid optimizer=sgd epochs=30", "The gradient vanishes"),
    "vanishing, rectified": ("depth=20 width=64 optimizer=sgd epochs=20", "The gradient vanishes"),
    "exploding": ("width=512 depth=8 init=normal epochs=5 optimizer=sgd lr=0.001", "The gradient explodes"),
    "exploding, clipped": ("data=dates width=512 depth=8 init=kaiming epochs=10", "The gradient explodes"),
    "dead": ("data=diabetes lr=0.3 depth=4 epochs=30", "of the rectified units"),
    "saturated": ("data=diabetes activation=tanh lr=0.3 epochs=30", "at an end of their range"),
    "lr_too_high": ("data=diabetes activation=tanh lr=1 epochs=30", "but was"),
    "lr_too_high, jumps": ("data=diabetes lr=0.3 depth=4 epochs=30", "jumps up"),
    "lr_too_low": ("data=diabetes optimizer=sgd lr=1e-4 epochs=30", "was still falling"),
    "lr_too_low, few steps": ("batch_size=full epochs=20", "was still falling"),
    "underfit, linear": ("data=xor model=linear", "It learned too little"),
    "underfit, identity": ("data=xor activation=identity", "activation=identity"),
    "underfit, schedule": ("schedule=step optimizer=sgd lr=0.003", "schedule=step"),
    "blocked, zeros": ("init=zeros epochs=20", "init=zeros"),
    "blocked, sign": ("activation=sign epochs=20", "activation=sign"),
    "blocked, step": ("activation=step depth=1 epochs=20", "activation=step"),
    "restrained, penalties": ("weight_decay=0.1 l1=0.01 clip=1 optimizer=adam lr=0.01", "weight_decay=0.1 and l1=0.01"),
    "restrained, dropout": ("dropout=0.95 epochs=30", "dropout=0.95"),
    "restrained, clip": ("clip=0.0001 optimizer=sgd epochs=30", "clip=0.0001"),
    "restrained, max_steps": ("max_steps=20 optimizer=sgd", "max_steps=20"),
    "restrained, average": ("average=ema epochs=3 optimizer=sgd batch_size=full", "average=ema"),
    "restrained, smoothing": ("label_smoothing=0.95 weight_decay=0.5", "weight_decay=0.5 and label_smoothing=0.95"),
    "lr 0": ("lr=0 epochs=3", "The step size lr is 0"),
}


OVERFIT = {"narrow": "data=diabetes", "broad": "depth=4 width=128 epochs=40"}


def cured(run, ill, sentence):
    """Return the result of what the sentence suggests."""
    (told,) = [line for line in ill["advice"] if sentence in line]
    words = shlex.split(told.split(" Try: ")[1])[2:]
    return run(*(word for word in words if word not in ("trainer=cpu", *PLAIN)), folder="cured")


@pytest.mark.slow
@pytest.mark.parametrize(("line", "sentence"), ILL.values(), ids=ILL)
def test_the_suggestion_has_a_lower_validation_loss(run, line, sentence):
    ill = run(*line.split(), folder="ill")
    well = cured(run, ill, sentence)
    assert well["status"] == "finished"
    assert well["metrics"]["val/loss"] < ill["metrics"].get("val/loss", float("inf"))


@pytest.mark.slow
@pytest.mark.parametrize("line", OVERFIT.values(), ids=OVERFIT)
def test_the_validation_loss_rises_less_to_the_last_epoch(run, line, tmp_path):
    """The best epoch's is as good: of data=diabetes 0.365 with and without the suggestion, means of 20 seeds."""
    cured(run, run(*line.split(), folder="ill"), "It learned by heart")
    ill, well = ([float(row["val/loss"]) for row in rows_of(tmp_path / folder)] for folder in ("ill", "cured"))
    assert well[-1] < ill[-1]
    assert well[-1] / min(well) < ill[-1] / min(ill)


@pytest.mark.slow
def test_a_target_in_its_own_units_is_scaled_and_the_error_in_these_units_is_lower(run):
    ill = run(*STEEP, "data.scale_target=none", folder="ill")
    assert cured(run, ill, "The gradient explodes")["metrics"]["val/mse"] < ill["metrics"]["val/mse"]


@pytest.mark.slow
def test_the_epoch_picked_by_f1_has_at_least_the_f1_of_the_one_picked_by_loss(run, tmp_path):
    rows = [f"{i % 7},{i % 5},{i % 11},{'rare' if i % 7 + i % 5 > 9 else 'usual'}" for i in range(400)]
    (tmp_path / "few.csv").write_text("\n".join(["a,b,c,label", *rows]) + "\n")
    ill = run("data=csv", f"data.path={tmp_path / 'few.csv'}", "data.target=label", "data.val_share=0.3", folder="ill")
    well = cured(run, ill, "of the training rows are rare")
    assert well["metrics"]["val/f1"] >= ill["metrics"]["val/f1"]


@pytest.mark.slow
def test_folds_of_few_samples_are_trained_every_one(shell, tmp_path):
    """No score can be better: the suggestion says how far scores of splits lie apart."""
    rows = [f"{i % 7},{i % 5},{i % 3},{i % 2}" for i in range(24)]
    (tmp_path / "few.csv").write_text("\n".join(["a,b,c,label", *rows]) + "\n")
    table = ["data=csv", "data.path=few.csv", "data.target=label", "epochs=2", *PLAIN, "trainer=cpu"]
    told = shell("train.py", *table).stdout.partition("one split says little.")[2]
    words = shlex.split(told.partition("Try: ")[2].splitlines()[0])[2:]
    done = shell("train.py", *words)
    assert done.returncode == 0, done.stderr
    assert "5/5" in done.stdout
