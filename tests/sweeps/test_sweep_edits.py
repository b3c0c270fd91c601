"""After an edit of the project a sweep gives the results of single runs, and trains in groups if it still can."""

from pathlib import Path

import pytest
from conftest import PLAIN, python, rows_of

TRAIN, BASE, LOSSES = "train.py", "src/kindling/models/base.py", "src/kindling/tasks/losses.py"
ACTIVATIONS, UPDATE = "src/kindling/models/activation_modules.py", "src/kindling/sweeps/grouped/update.py"
ARGS = ["data=diabetes", "epochs=3", "precision=64-true", "trainer=cpu", "test=false", *PLAIN]
OWN_MODEL = '''"""A model with a skip connection."""

from torch import nn

from kindling.models.base import Model


class Around(Model):
    """Computes the logits from the inputs and a hidden layer."""

    def __init__(self, input_shape: list[int], num_outputs: int, width: int = 8, **model):
        super().__init__(**model)
        self.hidden = nn.Sequential(nn.Linear(input_shape[0], width), nn.Tanh(), nn.LayerNorm(width))
        self.out = nn.Linear(width + input_shape[0], num_outputs)

    def forward(self, x):
        import torch

        return self.out(torch.cat([x, self.hidden(x)], -1))
'''
OWN_CHOICE = """# @package _global_
model: {_target_: kindling.models.around.Around, width: "${width}", optimizer: "${optimizer}", loss: "${loss}"}
"""
NEW_FILES = {
    "src/kindling/models/around.py": OWN_MODEL,
    "conf/model/around.yaml": OWN_CHOICE,
    "mine.py": "def confidence(logits, y):\n    return logits.abs().mean()\n",
}
OWN_LOSS = """def bce(logits, y, smoothing=0.0):
    return 3 * old_bce(logits, y, smoothing)


def old_"""
OWN_ACTIVATION = """class Cube(nn.Module):
    def forward(self, x):
        return x**3


"""
OWN_HOOK = """    def on_after_backward(self):
        {}

"""
EACH, ALL = (
    "[p.grad.clamp_(-0.01, 0.01) for p in self.parameters()]",
    "torch.nn.utils.clip_grad_norm_(self.parameters(), 0.01)",
)
MIXUP = "        x = 0.9 * x + 0.1 * x.flip(0) if stage == 'train' else x\n"
SECOND_FIT = """        trainer.fit_loop.max_epochs += 1
        trainer.fit(model, datamodule=data)
"""


def before(file: str, place: str, text: str) -> tuple[str, str, str]:
    return file, place, text + place


def instead(file: str, old: str, new: str) -> tuple[str, str, str]:
    return file, old, new


# name -> the edits, and the sweep's overrides
TOGETHER = {
    "a print in train.py": ([before(TRAIN, "    entry.raise_on_signals()\n", "    print('mine')\n")], []),
    "a docstring and a line of the base": (
        [
            instead(BASE, "A network for one task.", "A net for one task."),
            instead(BASE, "losses.append(loss.detach())", "losses += [loss.detach()]"),
        ],
        [],
    ),
    "a factor in the loss of the base": (
        [instead(BASE, "return compute(logits, y)\n ", "return compute(logits, y) / 2\n ")],
        [],
    ),
    "an edited loss": ([instead(LOSSES, "def bce(", OWN_LOSS + "bce(")], []),
    "a new metric": ([], ["+metrics={confidence: {_target_: mine.confidence, _partial_: true}}"]),
    "a new activation": (
        [
            before("src/kindling/activations.py", '    "elu": ("ELU",),', '    "cube": ("Cube",),\n'),
            before(ACTIVATIONS, "class Sign(", OWN_ACTIVATION),
            before(ACTIVATIONS, '"Step": Step,', '"Cube": Cube, '),
        ],
        ["activation=cube"],
    ),
    "a custom model": ([], ["model=around"]),
    "an elementwise hook": (
        [before(BASE, "    def validation_step(", OWN_HOOK.format(EACH))],
        [],
    ),
}
# name -> the edits, and the reported difference
INDIVIDUALLY = {
    "lr doubled": (
        [before(TRAIN, "    entry.raise_on_signals()\n", "    cfg.lr = 2 * cfg.lr\n")],
        "lr of epoch 1 is 0.006 in a single run and 0.003 in a group",
    ),
    "weights overwritten": (
        [before(TRAIN, "        callbacks = [", "        model.net[0].weight.data.fill_(0.1)\n")],
        "train/loss of epoch 1 is",
    ),
    "a second fit": ([before(TRAIN, "        if wants_test(", SECOND_FIT)], "of epoch 3 is"),
    "mixup": (
        [before(BASE, "        logits = self(x)\n", MIXUP)],
        "train/loss of epoch 1 is",
    ),
    "a hook that depends on all weights": (
        [before(BASE, "    def validation_step(", OWN_HOOK.format(ALL))],
        "train/loss of epoch 1 is",
    ),
    "an edit of the group optimizer": (
        [instead(UPDATE, "(self.steps, rates)", "(self.steps, 2 * rates)")],
        "of epoch 1 is",
    ),
}


def edit(project: Path, edits: list[tuple[str, str, str]]) -> None:
    for name, old, new in edits:
        file = project / name
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, (name, old)
        file.write_text(text.replace(old, new), encoding="utf-8")
    for name, text in NEW_FILES.items():
        (project / name).write_text(text, encoding="utf-8")


def swept(project: Path, args: list[str]) -> str:
    """Return the output of a sweep of two jobs, after comparing the second job with its single run."""
    sweep = python(project, "train.py", "-m", *ARGS, *args, "seed=0,1", "hydra.sweep.dir=sweep")
    assert sweep.returncode == 0, sweep.stdout[-3000:] + sweep.stderr[-3000:]
    single = python(project, "train.py", *ARGS, *args, "seed=1", "hydra.run.dir=single")
    assert single.returncode == 0, single.stderr[-3000:]
    (member,) = (project / "sweep").glob("seed=1_*")
    one, other = rows_of(project / "single"), rows_of(member)
    assert [row.keys() for row in one] == [row.keys() for row in other]
    for first, second in zip(one, other, strict=True):
        wanted = {name: float(value) for name, value in first.items()}
        assert {name: float(value) for name, value in second.items()} == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    return sweep.stdout


@pytest.mark.slow
@pytest.mark.parametrize("what", TOGETHER)
def test_an_edited_project_still_trains_together(copy, what):
    edits, args = TOGETHER[what]
    edit(copy, edits)
    output = swept(copy, args)
    assert "1-2/2  2 jobs, model=" in output, output
    assert "individually" not in output


@pytest.mark.slow
def test_the_job_that_diverges_is_not_the_one_compared(copy):
    own = ["lr=1e30,0.01", "activation=identity", "optimizer=sgd", "epochs=3", "trainer=cpu", *PLAIN]
    sweep = python(copy, "train.py", "-m", *own, "hydra.sweep.dir=sweep")
    expected = "results as single runs (once per version of the code): a few steps of lr=0.01"
    assert expected in sweep.stdout, sweep.stdout + sweep.stderr
    assert "1-2/2  2 jobs, model=" in sweep.stdout


@pytest.mark.slow
@pytest.mark.parametrize("what", INDIVIDUALLY)
def test_edits_that_a_group_would_ignore_make_jobs_train_individually(copy, what):
    edits, why = INDIVIDUALLY[what]
    edit(copy, edits)
    output = swept(copy, [])
    (line,) = [line for line in output.splitlines() if line.startswith("2 jobs train individually: ")]
    assert why in line
