"""Ensemble selection, compared with a plain loop over lists of members in numpy."""

from functools import partial

import numpy as np
import pytest
import torch
from conftest import built
from sklearn import metrics as sk

from kindling.sweeps.leaderboard.ensemble.greedy import select
from kindling.sweeps.leaderboard.ensemble.samples import Samples


def caruana(preds: np.ndarray, loss, rounds: int) -> list[int]:
    """Return the members, in order, by averaging every extended list of members anew."""
    bag, history = [], []
    for _ in range(rounds):
        costs = [loss(preds[[*bag, candidate]].mean(0)) for candidate in range(len(preds))]
        bag.append(int(np.argmin(costs)))
        history.append(min(costs))
    return bag[: int(np.argmin(history)) + 1]


def binary(seed: int, members: int = 12, rows: int = 40):
    """Return random probabilities (members, rows, 1) that are right more often than not, and the targets (rows,)."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, rows)
    logits = random.normal(0.8, 2, (members, rows)) * (2 * y - 1)
    return (1 / (1 + np.exp(-logits)))[..., None], y


def cross_entropy(y: np.ndarray, parts: list[torch.Tensor]) -> torch.Tensor:
    (p,) = parts
    right = torch.where(torch.from_numpy(y == 1)[:, None], p, 1 - p)
    return -right.log().mean((1, 2))


@pytest.mark.parametrize("seed", range(5))
def test_the_members_and_their_order_equal_those_of_a_plain_loop(seed):
    preds, y = binary(seed)
    chosen = select([torch.from_numpy(preds)], partial(cross_entropy, y), False, rounds=30)
    assert chosen == caruana(preds, lambda p: sk.log_loss(y, p[:, 0]), 30)
    assert len(set(chosen)) > 1


def test_a_higher_accuracy_is_selected_and_the_smallest_of_equally_good_ensembles():
    preds, y = binary(7, members=20)

    def accuracy(parts: list[torch.Tensor]) -> torch.Tensor:
        return ((parts[0][..., 0] > 0.5) == torch.from_numpy(y == 1)).double().mean(1)

    chosen = select([torch.from_numpy(preds)], accuracy, True, rounds=30)
    assert chosen == caruana(preds, lambda p: -sk.accuracy_score(y, p[:, 0] > 0.5), 30)
    assert len(chosen) < 30


@pytest.mark.parametrize("seed", range(3))
def test_the_ensemble_is_never_worse_than_its_best_candidate(seed):
    preds, y = binary(seed, members=3, rows=10)
    score = partial(cross_entropy, y)
    chosen = select([torch.from_numpy(preds)], score, False)
    mean = torch.from_numpy(preds)[chosen].mean(0, keepdim=True)
    assert float(score([mean])) <= float(score([torch.from_numpy(preds)]).min())


def test_equal_candidates_give_one_member_and_an_undefined_score_never_wins():
    same = torch.full((3, 5, 1), 0.7, dtype=torch.float64)
    y = np.array([1, 1, 0, 1, 0])
    assert select([same], partial(cross_entropy, y), False) == [0]
    same[0] = torch.nan
    assert select([same], partial(cross_entropy, y), False) == [1]


def test_many_candidates_are_scored_in_blocks(monkeypatch):
    preds, y = binary(3)
    whole = select([torch.from_numpy(preds)], partial(cross_entropy, y), False)
    monkeypatch.setattr("kindling.sweeps.leaderboard.ensemble.greedy.MAX_VALUES", 5 * 40)
    assert select([torch.from_numpy(preds)], partial(cross_entropy, y), False) == whole


@pytest.mark.parametrize(
    "args", [["data=diabetes"], ["data=blobs", "data.centres=3"], ["data=dates"], ["data=diabetes", "loss=hinge"]]
)
def test_the_scores_of_many_predictions_equal_those_of_each(args):
    data, model = built(*args)
    y = data.samples["val"][1]
    samples = Samples(model, y, torch.rand(len(y)), data.transform)
    shape = (4, len(y), data.model_kwargs()["num_outputs"])
    preds = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    preds = preds / preds.sum(-1, keepdim=True) if shape[-1] > 1 else preds
    each = [samples.metrics(one) for one in preds]
    for name in each[0]:
        assert samples.score(name, preds).tolist() == pytest.approx([one[name] for one in each], rel=1e-9)
