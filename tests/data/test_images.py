"""Images: IDX files, real MNIST and Fashion-MNIST if present, shifts, mixed precision."""

import numpy as np
import pytest
import torch
from conftest import PROJECT, compose_config
from idx_files import NAMES, idx

from kindling import UserError
from kindling.cli.build import build
from kindling.data.images import Idx, ImageArchive
from kindling.data.loader import Pixels, TensorLoader
from kindling.models.cnn import CNN
from kindling.training.device import auto


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    for part, n in (("train", 20), ("t10k", 7)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(torch.randint(256, (n, 5, 4))))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(torch.arange(n) % 3))
    return tmp_path


def loaded(folder):
    return Idx(str(folder), dict.fromkeys(NAMES), ["a", "b", "c"])


def test_idx_files_keep_their_test_set_and_split_off_a_tenth_for_validation(folder):
    data = loaded(folder)
    data.setup()
    assert {stage: tuple(x.shape) for stage, (x, _) in data.samples.items()} == {
        "train": (18, 1, 5, 4),
        "val": (2, 1, 5, 4),
        "test": (7, 1, 5, 4),
    }
    assert data.samples["test"][1].tolist() == [0, 1, 2, 0, 1, 2, 0]
    raw = (folder / "t10k-images-idx3-ubyte").read_bytes()
    assert data.samples["test"][0].flatten().tolist() == list(raw[16:])


@pytest.mark.parametrize("broken", [lambda b: b[:-1], lambda b: b"\0\0\x0d" + b[3:], lambda b: b[:6], lambda b: b""])
def test_a_truncated_or_different_file_is_rejected(folder, broken):
    path = folder / NAMES[0]
    path.write_bytes(broken(path.read_bytes()))
    with pytest.raises(UserError, match="train-images-idx3-ubyte is not an IDX file of bytes, or is truncated"):
        loaded(folder).load()


@pytest.mark.parametrize(("name", "folder"), [("mnist", "data/mnist"), ("fashion_mnist", "data/fashion_mnist")])
def test_the_real_files_have_60_000_and_10_000_images_6_000_and_1_000_of_each_class(name, folder):
    if not list((PROJECT / folder).glob(f"{NAMES[0]}*")):  # plain or .gz
        pytest.skip(f"{folder} has no files: `python train.py data={name}` downloads them")
    data = build(compose_config(f"data={name}").data)
    data.setup()
    assert {stage: len(y) for stage, (_, y) in data.samples.items()} == {"train": 54_000, "val": 6_000, "test": 10_000}
    labels = torch.cat([data.samples[stage][1] for stage in ("train", "val")])
    if name == "mnist":
        assert torch.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        assert [round(v, 4) for v in (data.transform["shift"][0] / 255, 1 / 255 / data.transform["factor"][0])] == [
            pytest.approx(0.1307, abs=5e-4),  # the commonly used mean and standard deviation
            pytest.approx(0.3081, abs=5e-4),
        ]
    else:
        assert torch.bincount(labels).tolist() == [6_000] * 10


@pytest.mark.slow
def test_one_epoch_of_mnist_reaches_98_5_percent_on_the_official_test_set(run):
    if not (PROJECT / "data/mnist" / NAMES[0]).exists():
        pytest.skip("data/mnist has no files: `python train.py data=mnist` downloads them")
    result = run("data=mnist", "model=cnn", "epochs=1")
    assert result["metrics"]["test/accuracy"] >= 0.985


def test_a_shift_moves_the_pixels_and_fills_with_zeros():
    x = torch.arange(2 * 2 * 3 * 4, dtype=torch.uint8).view(2, 2, 3, 4)
    pixels = Pixels({"shift": [0.0], "factor": [1.0]}, shift=1)
    same = pixels(x, torch.tensor([[1, 1], [1, 1]]))
    assert torch.equal(same, x.float())
    moved = pixels(x, torch.tensor([[2, 1], [1, 0]]))  # one row up; one column to the right
    assert torch.equal(moved[0, :, :2], x[0, :, 1:].float())
    assert moved[0, :, 2].abs().sum() == 0
    assert torch.equal(moved[1, :, :, 1:], x[1, :, :, :-1].float())
    assert moved[1, :, :, 0].abs().sum() == 0


def test_only_training_images_are_shifted_and_a_loader_resumes_at_its_position():
    data = ImageArchive("data/mnist_sample.npz", shift=2)
    data.setup()
    loader = data.train_dataloader()
    unshifted = {stage: ImageArchive("data/mnist_sample.npz") for stage in ("train", "test")}
    for other in unshifted.values():
        other.setup()
    x, _ = next(iter(loader))
    original, _ = next(iter(unshifted["train"].train_dataloader()))
    assert not torch.equal(x, original)
    assert torch.equal(next(iter(data.test_dataloader()))[0], next(iter(unshifted["test"].test_dataloader()))[0])
    whole = list(loader)
    loader.load_state_dict({"position": 5})
    for (a, _), (b, _) in zip(loader, whole[5:], strict=True):
        assert torch.equal(a, b)
    loader.set_epoch(1)
    assert not torch.equal(next(iter(loader))[0], x)


def test_groups_of_image_batches_contain_the_same_mini_batches():
    x, y = torch.randint(256, (50, 1, 6, 6), dtype=torch.uint8), torch.arange(50)
    pixels = Pixels({"shift": [3.0], "factor": [0.5]}, shift=1)
    one = list(TensorLoader(x, y, 8, seed=0, pixels=pixels))
    grouped = [batch for several in TensorLoader(x, y, 8, seed=0, num_steps=3, pixels=pixels) for batch in several]
    assert len(one) == len(grouped) == 7
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(one, grouped, strict=True))


def test_channels_last_gives_the_same_outputs():
    torch.manual_seed(0)
    model = CNN([1, 8, 8], 10, task="multiclass")
    x = torch.randn(4, 1, 8, 8)
    assert model.net[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(x), model.to(memory_format=torch.contiguous_format)(x), atol=1e-5, rtol=1e-5)


def test_trainer_auto_uses_bfloat16_for_images_if_the_cpu_supports_it(monkeypatch, tmp_path):
    data = ImageArchive("data/mnist_sample.npz")
    model = CNN(**data.model_kwargs())
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    for supported, given, expected in (
        (True, None, "bf16-mixed"),
        (True, "32-true", "32-true"),
        (False, None, "32-true"),
    ):
        monkeypatch.setattr("kindling.training.device._has_bfloat16", lambda supported=supported: supported)
        trainer = auto(model, data, precision=given, logger=False, default_root_dir=tmp_path)
        assert trainer.precision == expected


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((3, 4, 4))}, "lacks x_train or x_test: expected an .npz with bytes x_train"),
        ({"x_train": np.zeros((3, 4, 4)), "x_test": np.zeros((3, 4, 4))}, r"x_train as float64 of shape \(3, 4, 4\)"),
        ({"x_train": np.zeros((3, 4, 4, 3), "u1"), "x_test": np.zeros((3, 4, 4), "u1")}, r"shape \(3, 4, 4, 3\)"),
    ],
)
def test_an_archive_of_other_arrays_is_rejected(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=message):
        ImageArchive(str(tmp_path / "a.npz")).setup()
    (tmp_path / "a.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot be read"):
        ImageArchive(str(tmp_path / "a.npz")).setup()


def test_other_files_than_those_of_mnist_are_not_downloaded(folder):
    with pytest.raises(UserError, match=r"data\.sha256 has authorized_keys: the files are train-images"):
        Idx(str(folder), {"authorized_keys": "0" * 64}, ["a"], sources=["https://example.org"]).load()


def test_an_archive_that_would_fill_the_memory_is_rejected(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x_train=np.zeros((3000, 300, 300), "u1"))
    with pytest.raises(UserError, match=r"a\.npz is over 200 times larger when unpacked"):
        ImageArchive(str(tmp_path / "a.npz")).setup()


def test_images_are_shifted_with_one_override():
    assert build(compose_config("data=mnist_sample", "data.shift=2").data).load().shift == 2
