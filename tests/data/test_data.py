"""Data sets: their samples, split, scaling and order."""

import pandas as pd
import pytest
import torch
from conftest import PROJECT, made

from kindling import UserError
from kindling.data.images import ImageArchive
from kindling.data.loader import TensorLoader
from kindling.data.preprocessing.transforms import apply_transform
from kindling.data.synthetic import Blobs
from kindling.data.tables.table import Table

BAYES = {"ring": 0.956, "xor": 0.964, "spiral": 1.0}


def test_diabetes_has_768_samples_split_80_10_10():
    data = made("data=diabetes")
    assert {stage: len(y) for stage, (_, y) in data.samples.items()} == {"train": 614, "val": 77, "test": 77}
    assert sum(y.sum().item() for _, y in data.samples.values()) == 268  # positives in the table as distributed


def test_zeros_that_mark_missing_values_become_the_mean_of_the_training_samples():
    data, raw = made("data=diabetes"), pd.read_csv(PROJECT / "data/diabetes.csv")
    assert (raw["insulin"] == 0).sum() == 374
    x = torch.cat([x for x, _ in data.samples.values()])
    assert (x[:, list(raw.columns).index("insulin")].abs() < 1e-6).sum() == 374


def test_scaling_only_uses_training_samples():
    data = made("data=diabetes")
    train = data.samples["train"][0]
    torch.testing.assert_close(train.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    whole = torch.cat([x for x, _ in data.samples.values()])
    assert whole.mean(0).abs().max() > 1e-3

    low = made("data=diabetes", "scale=minmax").samples["train"][0]
    assert (low.amin(0).tolist(), low.amax(0).tolist()) == ([0.0] * 8, pytest.approx([1.0] * 8))


def test_the_transform_in_a_checkpoint_scales_raw_samples():
    data = made("data=ring")
    raw = pd.read_csv(PROJECT / "data/ring_test.csv")[["x", "y"]]
    x = apply_transform(torch.tensor(raw.to_numpy("float32")), data.state_dict())
    assert data.state_dict()["columns"] == ["x", "y"]
    torch.testing.assert_close(x, data.samples["test"][0])


@pytest.mark.parametrize("name", BAYES)
def test_label_noise_leaves_the_stated_bayes_rate(name):
    table = pd.read_csv(PROJECT / f"data/{name}_test.csv")
    assert list(table.columns) == ["x", "y", "class"]
    assert len(table) == 10_000
    if name == "ring":
        true = (table.x**2 + table.y**2) < 1
    elif name == "xor":
        true = table.x * table.y > 0
    else:
        arm = torch.tensor((table.x**2 + table.y**2).to_numpy()).sqrt() * 3 * torch.pi
        angle = torch.atan2(torch.tensor(table.y.to_numpy()), torch.tensor(table.x.to_numpy()))
        true = torch.cos(angle - arm).numpy() < 0
    standard_error = (BAYES[name] * (1 - BAYES[name]) / 10_000) ** 0.5
    assert (true == (table["class"] == 1)).mean() == pytest.approx(BAYES[name], abs=3 * standard_error)


@pytest.mark.slow
def test_the_generated_files_are_reproducible(tmp_path, shell):
    script = tmp_path / "make.py"
    script.write_text((PROJECT / "data/make.py").read_text())
    shell(str(script), check=True)
    for name in BAYES:
        for file in (f"{name}.csv", f"{name}_test.csv"):
            assert (tmp_path / file).read_bytes() == (PROJECT / "data" / file).read_bytes()


def test_blobs_have_the_centres_and_variance_of_the_config():
    data = Blobs(
        centres=[[0.0, 0.0, 9.0], [5.0, 0.0, 0.0], [0.0, 7.0, 0.0]], variance=4.0, num_examples=30_000, scale="none"
    )
    data.setup()
    x, y = data.samples["train"]
    assert data.model_kwargs()["num_outputs"] == 3
    torch.testing.assert_close(x[y == 1].mean(0), torch.tensor([5.0, 0.0, 0.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(x[y == 2].var(0), torch.full((3,), 4.0), atol=0.2, rtol=0)


def test_drawn_centres_have_the_given_number_and_dimensions():
    data = Blobs(centres=5, dimensions=7)
    assert (data.model_kwargs()["num_outputs"], data.model_kwargs()["input_shape"]) == (5, [7])


def test_digits_stay_bytes_in_memory_and_batches_are_scaled():
    data = ImageArchive("data/mnist_sample.npz")
    data.setup()
    assert (data.samples["train"][0].dtype, len(data.samples["test"][1])) == (torch.uint8, 500)
    x = torch.cat([x for x, _ in data.train_dataloader()])
    assert (x.mean().item(), x.std().item()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, abs=1e-4))
    assert torch.bincount(data.samples["test"][1]).tolist() == [50] * 10


def test_setup_twice_splits_once_and_the_split_has_its_own_seed():
    data = made("data=diabetes", "seed=7")
    before = data.samples["val"][0].clone()
    data.setup("fit")
    assert torch.equal(before, data.samples["val"][0])
    assert torch.equal(before, made("data=diabetes", "seed=8").samples["val"][0])
    assert not torch.equal(before, made("data=diabetes", "data.split_seed=1").samples["val"][0])


def test_the_order_only_depends_on_seed_and_epoch():
    def order(seed, epoch):
        loader = TensorLoader(torch.arange(100), torch.arange(100), 7, seed=seed)
        loader.set_epoch(epoch)
        return torch.cat([x for x, _ in loader])

    assert torch.equal(order(0, 3), order(0, 3))
    assert not torch.equal(order(0, 3), order(0, 4))
    assert not torch.equal(order(0, 3), order(1, 3))
    assert torch.equal(order(5, 5).sort().values, torch.arange(100))


def test_groups_contain_the_same_mini_batches_and_a_loader_resumes_at_its_position():
    one = list(TensorLoader(torch.arange(100), torch.arange(100), 7, seed=0))
    loader = TensorLoader(torch.arange(100), torch.arange(100), 7, seed=0, num_steps=4)
    groups = list(loader)
    flat = [batch for group in groups for batch in group]
    assert [len(group) for group in groups] == [4, 4, 4, 3]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(one, flat, strict=True))
    assert loader.state_dict() == {"position": 0}

    loader.load_state_dict({"position": 2})
    assert [torch.equal(a[0][0], b[0][0]) for a, b in zip(loader, groups[2:], strict=True)] == [True, True]
    assert len(list(loader)) == 4


def test_the_number_of_class_names_must_match_the_classes(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,0\n2,1\n")
    with pytest.raises(UserError, match="has 1 names, but b has 2 values: 0, 1"):
        Table(str(tmp_path / "table.csv"), "b", "binary", class_names=["x"]).setup()


def test_a_table_supports_every_task(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b,c,d\n" + "\n".join(f"{i},{i % 2},{i % 3},{i * i}" for i in range(30)) + "\n")
    shapes = {}
    for task, target in (("binary", "b"), ("multiclass", "c"), ("multilabel", ["b"]), ("regression", ["a", "d"])):
        data = Table(
            str(path), target, task, kinds={} if "a" in target else {"a": "number"}, test_share=0.0, val_share=0.0
        )
        shapes[task] = (
            data.model_kwargs()["num_outputs"],
            tuple(data.samples["train"][1].shape),
            data.model_kwargs()["input_shape"],
        )
    assert shapes == {
        "binary": (1, (30, 1), [3]),
        "multiclass": (3, (30,), [3]),
        "multilabel": (1, (30, 1), [3]),
        "regression": (2, (30, 2), [2]),
    }
