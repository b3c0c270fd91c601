"""Training with Lightning's own features gives the same numbers as plain Lightning."""

import logging
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from conftest import FLOAT
from pytorch_lightning import callbacks
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from kindling.data.synthetic import Blobs
from kindling.models import multi_step
from kindling.models.mlp import Deep
from kindling.training.metrics_csv import Records

EPOCHS = 4
STEPS = 29  # per epoch


def trainer_for(tmp_path, *extra, **options):
    return pl.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", callbacks=list(extra), logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
        **options,
    )  # fmt: skip


class Net(Deep):
    """A user's subclass, to which the tests add hooks."""


class Plain(pl.LightningModule):
    """The same network in plain Lightning, without Kindling's base class."""

    def __init__(self, net, configure):
        super().__init__()
        self.net, self.configure = net, configure

    def training_step(self, batch, batch_idx):
        return bce(self.net(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", bce(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return self.configure(self)


def both(tmp_path, cls, configure, *extra, batch_size=32, **options):
    """Train `cls`, and a plain LightningModule with the same initial weights, on blobs."""
    data = Blobs(batch_size=batch_size)
    torch.manual_seed(0)
    model = cls(**data.model_kwargs(), optimizer=partial(torch.optim.SGD, lr=0.1))
    plain = Plain(Deep(**data.model_kwargs()).net, configure)
    plain.net.load_state_dict(model.net.state_dict())
    trainer_for(tmp_path, *(make() for make in extra), **options).fit(model, datamodule=data)
    data = Blobs(batch_size=batch_size, steps_per_execution=1)
    trainer_for(tmp_path, *(make() for make in extra), **options).fit(plain, datamodule=data)
    return model, plain.net


def assert_same(model, net):
    for one, other in zip(model.net.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=FLOAT, rtol=0)


SCHEDULERS = {
    "by epoch": lambda o: torch.optim.lr_scheduler.StepLR(o, 1, 0.5),
    "by step": lambda o: {
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(o, 0.3, total_steps=EPOCHS * STEPS), "interval": "step",
    },
    "plateau": lambda o: {
        "scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.9), "monitor": "val/loss",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_from_configure_optimizers_steps_as_in_lightning(tmp_path, name):
    def configure(module):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        return {"optimizer": optimizer, "lr_scheduler": SCHEDULERS[name](optimizer)}

    class Scheduled(Net):
        configure_optimizers = configure

    model, net = both(tmp_path, Scheduled, configure)
    assert model.single_step_reason == "Scheduled overrides configure_optimizers"
    assert model.trainer.optimizers[0].param_groups[0]["lr"] != 0.1
    assert_same(model, net)


def test_lbfgs_gets_its_closure(tmp_path):
    class Quasi(Net):
        def __init__(self, **model):
            super().__init__(**model | {"optimizer": partial(torch.optim.LBFGS, lr=0.1)})

    lbfgs = partial(torch.optim.LBFGS, lr=0.1)
    model, net = both(tmp_path, Quasi, lambda module: lbfgs(module.parameters()), batch_size="full")
    assert model.single_step_reason == "LBFGS is not known to support several steps per training_step"
    assert_same(model, net)


def test_an_overridden_training_step_trains_and_values_it_does_not_log_are_absent(tmp_path):
    class Own(Net):
        def training_step(self, batch, batch_idx):
            return bce(self(batch[0]), batch[1])

    model, net = both(tmp_path, Own, lambda module: torch.optim.SGD(module.parameters(), lr=0.1))
    assert_same(model, net)
    assert "train/loss" not in model.trainer.callback_metrics
    assert "val/loss" in model.trainer.callback_metrics


@pytest.mark.parametrize(
    "make",
    [
        lambda: callbacks.StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=2, annealing_epochs=1),
        lambda: callbacks.GradientAccumulationScheduler({0: 2, 2: 3}),
        lambda: callbacks.EMAWeightAveraging(decay=0.9),
    ],
    ids=["swa", "accumulation", "ema"],
)
def test_lightnings_callbacks_work_as_in_plain_lightning(tmp_path, make):
    model, net = both(tmp_path, Net, lambda module: torch.optim.SGD(module.parameters(), lr=0.1), make)
    assert "acts on single batches" in model.single_step_reason
    assert_same(model, net)


def test_gradient_accumulation_works_as_in_plain_lightning(tmp_path):
    sgd = partial(torch.optim.SGD, lr=0.1)
    model, net = both(tmp_path, Net, lambda module: sgd(module.parameters()), accumulate_grad_batches=3)
    assert model.single_step_reason == "trainer.accumulate_grad_batches acts on single batches"
    assert_same(model, net)


def test_every_callback_of_lightning_is_classified():
    """A new callback fails here until it is known whether it acts on single batches."""
    known = multi_step.EPOCH_CALLBACKS | multi_step.BATCH_CALLBACKS
    assert {getattr(callbacks, name) for name in callbacks.__all__} == known
    assert not multi_step.EPOCH_CALLBACKS & multi_step.BATCH_CALLBACKS


def test_every_optimizer_of_torch_is_classified():
    every = {c for c in vars(torch.optim).values() if isinstance(c, type) and issubclass(c, torch.optim.Optimizer)}
    assert every - multi_step.OPTIMIZERS == {torch.optim.LBFGS, torch.optim.SparseAdam, torch.optim.Optimizer}


class Allowed(pl.Callback):
    supports_multi_step = True


class Inherits(Allowed):
    """A subclass of an allowed callback, which may itself act on single batches."""


@pytest.mark.parametrize(
    ("cls", "extra", "reason"),
    [
        (Net, (), None),
        (Net, (Allowed,), None),
        (Net, (callbacks.ModelSummary,), None),
        (Net, (Inherits,), "Inherits may act on single batches"),
        (Net, (callbacks.Timer,), "Timer acts on single batches"),
        (type("Adaptive", (Net,), {"on_train_batch_end": lambda *_: None}), (), "overrides on_train_batch_end"),
        (
            type("Clips", (Net,), {"on_before_optimizer_step": lambda *_: None}),
            (),
            "overrides on_before_optimizer_step",
        ),
        (
            type("Zeroes", (Net,), {"optimizer_zero_grad": lambda s, *_: s.zero_grad()}),
            (),
            "overrides optimizer_zero_grad",
        ),
        (type("Notes", (Net,), {"on_train_start": lambda *_: None, "helper": 1}), (), None),
    ],
)
def test_several_steps_per_call_are_only_taken_if_everything_supports_it(tmp_path, caplog, cls, extra, reason):
    caplog.set_level(logging.INFO)
    data = Blobs()
    model = cls(**data.model_kwargs(), optimizer=partial(torch.optim.SGD, lr=0.1))
    trainer_for(tmp_path, *(make() for make in extra)).fit(model, datamodule=data)
    assert (reason or "") in (model.single_step_reason or "")
    assert model.automatic_optimization == (reason is not None)
    assert (f"one mini-batch per training step: {model.single_step_reason}" in caplog.text) == (reason is not None)


def test_an_overridden_dataloader_is_used_batch_by_batch(tmp_path):
    class Loaded(Blobs):
        def train_dataloader(self):
            return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*self.samples["train"]), batch_size=100)

    data = Loaded()
    model = Deep(**data.model_kwargs(), optimizer=partial(torch.optim.SGD, lr=0.1))
    trainer = trainer_for(tmp_path)
    trainer.fit(model, datamodule=data)
    assert model.single_step_reason == "Loaded overrides train_dataloader"
    assert trainer.global_step == EPOCHS * 9  # of 900 samples


def test_the_recorded_learning_rate_is_that_of_the_epoch(tmp_path):
    class Halves(Net):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

    data, records = Blobs(), Records(tmp_path)
    trainer = pl.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", callbacks=[records], logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Halves(**data.model_kwargs()), datamodule=data)
    assert [row["lr"] for row in records.rows] == [0.1, 0.05, 0.025, 0.0125]
