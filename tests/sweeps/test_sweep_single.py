"""Nobody's own code is bypassed: what is not known to come out the same is trained by itself, and says why."""

import subprocess
import sys

import pytest
import pytorch_lightning as pl
import torch
from sweeps.sweep_helpers import formed

from kindling.data.synthetic import Blobs
from kindling.models.mlp import Deep
from kindling.sweeps.grouped.stack import Stack, weights_of
from kindling.sweeps.grouped.why_single import why_by_model

TWO = [["seed=0"], ["seed=1"]]


def reasons(*words):
    groups, singles = formed([[*words, *own] for own in TWO])
    assert not groups
    return {why for _, why in singles}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["data=mnist_sample", "model=cnn"], "convolutions gain nothing"),
        (["data=mnist_sample", "model=deep", "width=128", "depth=6", "batch_size=full"], "a step is so long"),
        (["+trainer.strategy=ddp"], "several processes"),
        (["steps_per_execution=1"], "steps_per_execution=1 asks for"),
        (["max_steps=50"], "callbacks.last_step works on single runs"),
        (["compile=true"], "callbacks.compile works on single runs"),
        (["debug=overfit"], "callbacks.overfit works on single runs"),
        (["debug=fast"], "trainer.limit_train_batches acts on single runs"),
        (["+trainer.gradient_clip_val=1.0"], "trainer.gradient_clip_val acts on single runs"),
        (["callbacks.records=null"], "kindling.training.metrics_csv.Records is left out"),
        (["+callbacks.mine={_target_: pytorch_lightning.Callback}"], "callbacks.mine works on single runs"),
        (["logger=csv"], "logger.csv records single runs"),
        (["optimizer._target_=torch.optim.Rprop"], "Rprop's step is not in proportion"),
        (["+optimizer.maximize=true"], "optimizer.maximize is set"),
        (["schedule=onecycle", "callbacks.schedule.build.cycle_momentum=true"], "callbacks.schedule works on single"),
        (["patience=3", "data.val_share=0"], "patience needs validation rows"),
        (["batch_norm=true", "batch_size=613"], "batch norm needs two samples"),
        (["model=cnn"], "UserError: model=cnn needs images"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_reason_is_given(words, why):
    (found,) = reasons(*words)
    assert why in found


def test_a_job_like_no_other_is_trained_by_itself():
    (group,), ((job, why),) = formed([*TWO, ["width=7"]])
    assert (len(group.jobs), "width=7" in job.overrides, why) == (2, True, "no other is like it")


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
        return self.net(x) if x.sum() > 0 else -self.net(x)  # vmap cannot know which way to go


class Sound(Deep):
    """A forward of its own, which torch.func.vmap can run."""

    def forward(self, x):
        return self.net(x) * 2 + x.mean(1, keepdim=True)


class OwnLoader(Blobs):
    def train_dataloader(self):
        return super().train_dataloader()


class Foreign(pl.LightningModule):
    pass


def test_a_group_is_named_by_its_model_and_the_choice_that_led_to_it():
    ((group,), _) = formed([["model=wide", f"seed={seed}"] for seed in (0, 1)])
    assert str(group).startswith("2 nets of Deep (model=wide) with ")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (OwnStep, "OwnStep has a training_step of its own"),
        (OwnOptimizer, "OwnOptimizer has a configure_optimizers of its own"),
        (TorchsDropout, "drop, torch's Dropout, draws from the global random numbers: kindling.models.noise.Dropout"),
        (Noisy, "its forward pass draws random numbers"),
        (Branching, "torch.func.vmap cannot run its forward pass"),
        (Sound, None),
    ],
)
def test_a_model_of_your_own_is_looked_at(kind, why):
    data = Blobs()
    found = why_by_model(kind(**data.model_kwargs()), data, None)
    assert found is None if why is None else why in found


def test_data_and_modules_of_your_own_are_looked_at():
    data = OwnLoader()
    assert why_by_model(Deep(**data.model_kwargs()), data, None) == "OwnLoader has a train_dataloader of its own"
    assert "Foreign is not made from Kindling's base class" in why_by_model(Foreign(), Blobs(), None)
    data = Blobs()
    frozen = Deep(**data.model_kwargs())
    frozen.net[0].weight.requires_grad_(False)
    assert why_by_model(frozen, data, None) == "some weights are frozen"


def test_a_model_of_your_own_is_computed_by_its_own_forward():
    data = Blobs()
    nets = [Sound(**data.model_kwargs(), width=5) for _ in range(3)]
    x = data.samples["train"][0][:7]
    together = Stack([(slice(0, 3), nets[0])], [weights_of(net) for net in nets])(x.expand(3, *x.shape))
    for net, logits in zip(nets, together, strict=True):
        torch.testing.assert_close(logits, net(x))


def test_every_activation_is_trained_together():
    from kindling.activations import ACTIVATIONS

    batch = [[f"activation={name}", f"seed={seed}", "width=4"] for name in ACTIVATIONS for seed in (0, 1)]
    groups, singles = formed(batch)
    assert not singles
    assert sum(len(group.jobs) for group in groups) == len(batch)


def test_no_torch_is_imported_by_hydra_s_plugins():
    modules = "hydra_plugins.kindling_sweeps, kindling.sweeps.grid, kindling.sweeps.plan"
    code = f"import {modules}, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
