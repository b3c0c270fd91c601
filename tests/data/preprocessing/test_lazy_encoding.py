"""Tables whose categories stay codes in memory have the values of those that are encoded at once."""

import pytest
import torch
from conftest import made, needs, slow_after, weights_of

from kindling.data.preprocessing import lazy_encoding
from kindling.data.preprocessing.lazy_encoding import Coded


@pytest.fixture
def towns(tmp_path):
    """Write a table with two categories of ten values and a number with gaps; return the overrides to train on it."""
    rows = [
        f"{'' if i % 9 == 0 else i % 13},town {i * 7 % 10},{'' if i % 11 == 0 else f'kind {i % 10}'},{i % 3 % 2}"
        for i in range(300)
    ]
    (tmp_path / "towns.csv").write_text("\n".join(["size,town,kind,y", *rows]) + "\n", encoding="utf-8")
    return ["data=csv", f"data.path={tmp_path / 'towns.csv'}", "data.target=y"]


@pytest.fixture
def both(towns, monkeypatch):
    """Return the training inputs of the same table, encoded at once and as codes."""
    dense, _ = made(*towns).samples["train"]
    monkeypatch.setattr(lazy_encoding, "MAX_VALUES", 0)
    codes, _ = made(*towns).samples["train"]
    return dense, codes


READS = {
    "an index": lambda x: x[3],
    "a slice": lambda x: x[10:200:7],
    "the first rows": lambda x: x[:2],
    "indices": lambda x: x[torch.tensor([5, 0, 5])],
    "a mask": lambda x: x[torch.arange(len(x)) % 2 == 0],
    "index_select": lambda x: x.index_select(0, torch.tensor([7, 1])),
    "an index of a column": lambda x: x[:, 2],
    "a row and a column": lambda x: x[torch.tensor([1, 2]), torch.tensor([0, 3])],
    "a mean": lambda x: x.double().mean(0),
    "a product": lambda x: x @ torch.ones(x.shape[1], 1),
    "both joined": lambda x: torch.cat([x, x]),
    "parts": lambda x: x.split(100)[1],
    "an index without gradients": torch.inference_mode()(lambda x: x[3].clone()),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_codes_are_read_as_the_encoded_inputs(both, read):
    dense, codes = both
    assert isinstance(codes, Coded)
    found = read(codes)
    assert type(found) is torch.Tensor
    assert torch.equal(found, read(dense))


def test_codes_have_the_shape_and_type_of_the_encoded_inputs_and_take_less_memory(both):
    dense, codes = both
    assert (codes.shape, codes.dtype, codes.device, codes.dim()) == (dense.shape, dense.dtype, dense.device, 2)
    assert codes.raw.numel() * codes.raw.element_size() < dense.numel() * dense.element_size()
    assert isinstance(codes.to("cpu", copy=True), Coded)
    assert isinstance(codes.detach(), Coded)


@pytest.mark.parametrize(
    "options", slow_after(1, [["scale=robust", "data.max_categories=5"], ["data.balance=true"], []])
)
def test_a_run_with_codes_equals_one_with_encoded_inputs(run, tmp_path, towns, options, monkeypatch):
    results = [run(*towns, "epochs=3", "dropout=0.1", *options, folder="dense")]
    monkeypatch.setattr(lazy_encoding, "MAX_VALUES", 0)
    results.append(run(*towns, "epochs=3", "dropout=0.1", *options, folder="codes"))
    dense, codes = (weights_of(tmp_path / name) for name in ("dense", "codes"))
    assert all(torch.equal(dense[name], codes[name]) for name in dense)
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[0].get("advice") == results[1].get("advice")


@needs("sweeps/grouped")
def test_a_group_trains_on_codes(run, tmp_path, towns, monkeypatch):
    from sweeps.sweep_helpers import trained_together

    monkeypatch.setattr(lazy_encoding, "MAX_VALUES", 0)
    one, _ = trained_together(tmp_path / "sweep", [[*towns, "epochs=2", f"lr={lr}"] for lr in (0.01, 0.02)])
    run(*towns, "epochs=2", "lr=0.01")
    found, expected = weights_of(one.folder), weights_of(tmp_path / "run")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
