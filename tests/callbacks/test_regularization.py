"""The L1 penalty and gradient clipping equal an explicit implementation in a plain loop."""

from functools import partial

import pytest
import torch
from conftest import assert_weights, plain_loop

from kindling import UserError

SGD = partial(torch.optim.SGD, lr=0.1)


@pytest.mark.parametrize("steps_per_execution", ["auto", 1])
def test_l1_adds_the_sum_of_absolute_weights(run, tmp_path, steps_per_execution):
    args = ["data=blobs", "optimizer=sgd", "epochs=2"]
    run(*args, "l1=0.01", f"steps_per_execution={steps_per_execution}")

    def penalty(model):
        (0.01 * sum(p.abs().sum() for p in model.parameters())).backward()

    assert_weights(tmp_path / "run", plain_loop(*args, optimizer=SGD, before_step=penalty))


def test_l2_adds_half_the_squared_norm_of_the_weights(run, tmp_path):
    args = ["data=blobs", "optimizer=sgd", "epochs=2"]
    run(*args, "weight_decay=0.01")

    def penalty(model):
        (0.01 / 2 * sum(p.square().sum() for p in model.parameters())).backward()

    assert_weights(tmp_path / "run", plain_loop(*args, optimizer=SGD, before_step=penalty))


@pytest.mark.parametrize("steps_per_execution", ["auto", 1])
def test_clip_limits_the_norm_of_all_gradients_of_every_mini_batch(run, tmp_path, steps_per_execution):
    args, norms = ["data=blobs", "optimizer=sgd", "epochs=2"], []
    run(*args, "clip=0.3", f"steps_per_execution={steps_per_execution}")

    def limit(model):
        norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
        norms.append(norm.item())
        for p in model.parameters():
            p.grad *= min(1.0, 0.3 / norm)

    assert_weights(tmp_path / "run", plain_loop(*args, optimizer=SGD, before_step=limit))
    assert max(norms) > 0.3 > min(norms)


def test_scaled_gradients_with_a_fused_optimizer_are_rejected():
    from types import SimpleNamespace

    from kindling.callbacks.regularization import Gradients

    fused = torch.optim.Adam([torch.zeros(1, requires_grad=True)], fused=True)
    trainer = SimpleNamespace(precision="16-mixed", optimizers=[fused])
    with pytest.raises(UserError, match=r"set optimizer.fused=false"):
        Gradients(clip=1.0).on_train_start(trainer, None)
