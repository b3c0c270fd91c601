"""Jobs train individually, with a reported reason, unless a group is known to give the same results."""

import csv
import os
import subprocess
import sys

import pytest
import pytorch_lightning as pl
import torch
from conftest import PLAIN, PROJECT
from sweeps.sweep_helpers import formed

from kindling.data.synthetic import Blobs
from kindling.models.mlp import Deep
from kindling.sweeps.grouped.stack import Stack, weights_of
from kindling.sweeps.grouped.why_single import why_by_model

TWO = [["seed=0"], ["seed=1"]]


def reasons(*args):
    groups, singles = formed([[*args, *own] for own in TWO])
    assert not groups
    return {why for _, why in singles}


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["data=mnist_sample", "model=cnn"], "convolutions are not faster in a group"),
        (["data=mnist_sample", "model=deep", "width=128", "depth=6", "batch_size=full"], "the network is too large"),
        (["+trainer.strategy=ddp"], "it uses several processes"),
        (["steps_per_execution=1"], "steps_per_execution=1 requires"),
        (["max_steps=50"], "callbacks.last_step works only in single runs"),
        (["compile=true"], "callbacks.compile works only in single runs"),
        (["debug=overfit"], "callbacks.overfit works only in single runs"),
        (["debug=fast"], "trainer.limit_train_batches works only in single runs"),
        (["+trainer.gradient_clip_val=1.0"], "trainer.gradient_clip_val works only in single runs"),
        (["callbacks.records=null"], "kindling.training.metrics_csv.Records is missing"),
        (["+callbacks.mine={_target_: pytorch_lightning.Callback}"], "callbacks.mine works only in single runs"),
        (["logger=csv"], "logger.csv records only single runs"),
        (["optimizer._target_=torch.optim.Rprop"], "the step of Rprop is not proportional"),
        (["+optimizer.maximize=true"], "optimizer.maximize is set"),
        (
            ["schedule=onecycle", "callbacks.schedule.build.cycle_momentum=true"],
            "callbacks.schedule works only in single",
        ),
        (["patience=3", "data.val_share=0"], "patience needs validation samples"),
        (["batch_norm=true", "batch_size=613"], "batch norm needs two samples"),
        (["model=cnn"], "UserError: model=cnn needs images"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_reason_is_reported(args, why):
    (found,) = reasons(*args)
    assert why in found


def test_a_job_that_fits_no_group_is_trained_individually():
    (group,), ((job, why),) = formed([*TWO, ["width=7"]])
    assert (len(group.jobs), "width=7" in job.overrides) == (2, True)
    assert why == "no other job has the same network, data split and options"


class OwnStep(Deep):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx)


class OwnOptimizer(Deep):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Noisy(Deep):
    def forward(self, x):
        return self.net(x + torch.randn_like(x))


class TorchsDropout(Deep):
    def __init__(self, **model):
        super().__init__(**model)
        self.drop = torch.nn.Dropout(0.5)


class Branching(Deep):
    def forward(self, x):
        return self.net(x) if x.sum() > 0 else -self.net(x)  # vmap does not support data-dependent branches


class Sound(Deep):
    """A model with its own forward, which torch.func.vmap can run."""

    def forward(self, x):
        return self.net(x) * 2 + x.mean(1, keepdim=True)


class OwnLoader(Blobs):
    def train_dataloader(self):
        return super().train_dataloader()


class Foreign(pl.LightningModule):
    pass


def test_a_group_is_described_by_its_choice_of_model():
    ((group,), _) = formed([["model=wide", f"seed={seed}"] for seed in (0, 1)])
    assert str(group).startswith("2 jobs, model=wide with ")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (OwnStep, "OwnStep overrides training_step"),
        (OwnOptimizer, "OwnOptimizer overrides configure_optimizers"),
        (
            TorchsDropout,
            "drop, torch's Dropout, uses torch's global random generator; kindling.models.noise.Dropout can train in",
        ),
        (Noisy, "its forward pass uses torch's global random generator"),
        (Branching, "torch.func.vmap cannot run its forward pass"),
        (Sound, None),
    ],
)
def test_custom_models_are_checked(kind, why):
    data = Blobs()
    found = why_by_model(kind(**data.model_kwargs()), data, None)
    assert found is None if why is None else why in found


def test_custom_data_and_modules_are_checked():
    data = OwnLoader()
    assert why_by_model(Deep(**data.model_kwargs()), data, None) == "OwnLoader overrides train_dataloader"
    assert "Foreign is not a subclass of Kindling's base class" in why_by_model(Foreign(), Blobs(), None)
    data = Blobs()
    frozen = Deep(**data.model_kwargs())
    frozen.net[0].weight.requires_grad_(False)
    assert why_by_model(frozen, data, None) == "some weights are frozen"


def test_a_custom_model_is_computed_by_its_own_forward():
    data = Blobs()
    nets = [Sound(**data.model_kwargs(), width=5) for _ in range(3)]
    x = data.samples["train"][0][:7]
    together = Stack([(slice(0, 3), nets[0])], [weights_of(net) for net in nets])(x.expand(3, *x.shape))
    for net, logits in zip(nets, together, strict=True):
        torch.testing.assert_close(logits, net(x))


def test_every_activation_can_train_in_a_group():
    from kindling.activations import ACTIVATIONS

    batch = [[f"activation={name}", f"seed={seed}", "width=4"] for name in ACTIVATIONS for seed in (0, 1)]
    groups, singles = formed(batch)
    assert not singles
    assert sum(len(group.jobs) for group in groups) == len(batch)


def test_hydra_plugins_do_not_import_torch():
    modules = "hydra_plugins.kindling_sweeps, kindling.sweeps.grid, kindling.sweeps.plan"
    code = f"import {modules}, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.slow
def test_jobs_are_ranked_by_a_value_that_only_a_callback_logs(tmp_path):
    path = os.pathsep.join([str(PROJECT / "tests"), os.environ.get("PYTHONPATH", "")])
    args = ["data=blobs", "epochs=2", "monitor=val/gap", "mode=min", "+callbacks.gap={_target_: stock_modules.LogGap}"]
    command = [sys.executable, PROJECT / "train.py", "-m", *args, *PLAIN, "seed=0,1", "sweep.name=s"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert "2 jobs train individually: callbacks.gap works only in single runs" in done.stdout
    with (tmp_path / "runs/sweeps/s/leaderboard.csv").open(newline="") as file:
        assert [float(row["val/gap"]) for row in csv.DictReader(file) if row["rank"] == "1"] == [3.0]
