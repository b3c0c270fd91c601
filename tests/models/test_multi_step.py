"""The training step with several mini-batches and with one, compared with a plain PyTorch loop."""

import json
from functools import partial

import pytest
import torch
from conftest import FLOAT, assert_weights, built, plain_loop, rows_of, slow_after, weights_of
from pytorch_lightning.callbacks import Callback

from kindling.cli.conf import choices
from kindling.data.loader import TensorLoader

OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.1),
    "momentum": partial(torch.optim.SGD, lr=0.02, momentum=0.9),
    "nesterov": partial(torch.optim.SGD, lr=0.02, momentum=0.9, nesterov=True),
    "adam": partial(torch.optim.Adam, lr=0.003),
    "adamw": partial(torch.optim.AdamW, lr=0.003),
    "nadam": partial(torch.optim.NAdam, lr=0.003),
    "radam": partial(torch.optim.RAdam, lr=0.003),
    "rmsprop": partial(torch.optim.RMSprop, lr=0.001),
    "adagrad": partial(torch.optim.Adagrad, lr=0.03),
    "adadelta": partial(torch.optim.Adadelta, lr=1.0),
}


@pytest.mark.parametrize("optimizer", slow_after(3, choices("optimizer")))
def test_mini_batches_equal_a_plain_loop(run, tmp_path, optimizer):
    overrides = ["data=ring", f"optimizer={optimizer}", "epochs=3", "weight_decay=0.01", "batch_size=64"]
    run(*overrides)

    model = plain_loop(*overrides, optimizer=partial(OPTIMIZERS[optimizer], weight_decay=0.01, foreach=False))
    assert_weights(tmp_path / "run", model)


@pytest.mark.parametrize("steps_per_execution", slow_after(2, ["1", "3", "2"]))
def test_every_steps_per_execution_gives_the_same_numbers(run, tmp_path, steps_per_execution):
    overrides = ["data=blobs", "epochs=3", "dropout=0.2"]
    whole = run(*overrides, folder="whole")
    parts = run(*overrides, f"steps_per_execution={steps_per_execution}", folder="parts")
    assert parts["metrics"] == pytest.approx(whole["metrics"], abs=FLOAT)
    steps = [[row["step"] for row in rows_of(tmp_path / name)] for name in ("whole", "parts")]
    assert steps[0] == steps[1] == ["29", "58", "87"]


def test_a_loss_without_reduction_is_an_error(run):
    with pytest.raises(RuntimeError, match="scalar outputs"):
        run("data=ring", "epochs=1", "loss={_target_: torch.nn.BCEWithLogitsLoss, reduction: none}")


@pytest.mark.parametrize(
    ("flag", "steps"),
    [
        ("+trainer.limit_train_batches=4", 8),
        ("max_steps=33", 33),
        ("+trainer.overfit_batches=2", 4),
        ("+trainer.accumulate_grad_batches=2", 30),
        ("+trainer.gradient_clip_val=0.1", 58),
        ("+trainer.val_check_interval=10", 58),
    ],
)
def test_flags_of_the_trainer_count_mini_batches(run, tmp_path, flag, steps):
    run("data=blobs", "epochs=2", flag)
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == steps


def test_fast_dev_run_takes_one_batch(run):
    result = run("data=blobs", "+trainer.fast_dev_run=true")
    assert result["status"] == "finished"


def test_gradient_clipping_equals_a_manual_loop(run, tmp_path):
    overrides = ["data=blobs", "epochs=1", "optimizer=sgd"]
    run(*overrides, "+trainer.gradient_clip_val=0.1")
    data, model = built(*overrides)
    opt = model.configure_optimizers()
    for x, y in data.train_dataloader():
        opt.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        opt.step()
    assert_weights(tmp_path / "run", model)


class CountsBatches(Callback):
    def __init__(self):
        self.batches = 0

    def on_train_batch_end(self, *_):
        self.batches += 1


class CountsBackwards(Callback):
    def __init__(self):
        self.backwards = 0

    def on_after_backward(self, *_):
        self.backwards += 1


@pytest.mark.parametrize(("cls", "attribute"), [(CountsBatches, "batches"), (CountsBackwards, "backwards")])
def test_a_users_callback_sees_every_mini_batch(tmp_path, cls, attribute):
    import pytorch_lightning as pl

    data, model = built("data=blobs")
    callback = cls()
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", callbacks=[callback], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(model, datamodule=data)
    assert getattr(callback, attribute) == trainer.global_step == 58


def test_a_full_batch_is_one_step_per_epoch_and_batch_size_1_one_per_sample(run, tmp_path):
    run("data=blobs", "epochs=2", "batch_size=full", folder="full")
    run("data=blobs", "epochs=1", "batch_size=1", "data.num_examples=50", folder="one")
    assert rows_of(tmp_path / "full")[-1]["step"] == "2"
    assert rows_of(tmp_path / "one")[-1]["step"] == "45"


@pytest.mark.parametrize("steps_per_execution", ["auto", "1", "3"])
def test_an_epoch_of_five_passes_takes_the_steps_of_five_epochs(run, tmp_path, steps_per_execution):
    overrides = ["data=blobs", "model=logistic", "optimizer=sgd", "lr=0.5", "batch_size=full"]
    run(*overrides, "epochs=10", folder="ten")
    result = run(*overrides, "data.passes=5", "epochs=2", f"steps_per_execution={steps_per_execution}", folder="two")
    assert result["epochs"] == 2
    for name, tensor in weights_of(tmp_path / "ten").items():
        torch.testing.assert_close(weights_of(tmp_path / "two")[name], tensor, atol=FLOAT, rtol=0)


def test_each_pass_has_its_own_order_and_a_mini_batch_may_span_two_passes():
    loader = TensorLoader(torch.arange(10.0)[:, None], torch.arange(10), batch_size=4, seed=0, passes=3)
    samples = torch.cat([y for _, y in loader])
    assert len(loader) == 8  # 30 samples in batches of 4
    assert all(part.sort().values.tolist() == list(range(10)) for part in samples.split(10))
    assert not torch.equal(samples[:10], samples[10:20])


def test_equal_seeds_give_equal_results_and_the_split_does_not_depend_on_the_seed(run, tmp_path):
    first, again, other = (run("epochs=3", f"seed={seed}", folder=str(i)) for i, seed in enumerate((0, 0, 1)))
    assert first["metrics"] == again["metrics"] != other["metrics"]
    split = [built(f"seed={seed}")[0].samples["test"][1] for seed in (0, 1)]
    assert torch.equal(*split)
    assert json.loads((tmp_path / "0/result.json").read_text())["best_epoch"] == first["best_epoch"]


def test_several_steps_per_execution_in_mixed_precision_take_the_same_steps(run, tmp_path):
    """Autocast caches bfloat16 copies of weights, which must not be reused in the next step."""
    for steps_per_execution in ("auto", "1"):
        run(
            "data=blobs",
            "epochs=3",
            "optimizer=sgd",
            "precision=bf16-mixed",
            f"steps_per_execution={steps_per_execution}",
            folder=steps_per_execution,
        )
    auto, off = weights_of(tmp_path / "auto"), weights_of(tmp_path / "1")
    assert all(torch.equal(auto[key], off[key]) for key in auto)
