"""A compiled model gives the same results."""

import shutil

import pytest
import torch
from conftest import weights_of


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("default")  # the compiler's own libraries
def test_a_compiled_run_equals_the_plain_one(run, tmp_path):
    args = ["data=blobs", "epochs=2", "batch_size=300"]
    run(*args, folder="plain")
    run(*args, "compile=true", folder="compiled")
    plain, compiled = weights_of(tmp_path / "plain"), weights_of(tmp_path / "compiled")
    for key in plain:
        torch.testing.assert_close(plain[key], compiled[key], atol=1e-5, rtol=0)
