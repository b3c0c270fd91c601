"""`debug=resume` tells whether a run can be stopped and resumed, and names what differs if it cannot."""

import os

import pytest
from conftest import PROJECT

from kindling import UserError

MODULE = '''
import os

import stock_modules

class Hidden(stock_modules.Logs):
    """A module with random numbers that do not come from torch's generator."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) * (1 + os.urandom(1)[0] / 255)
'''


@pytest.mark.slow
def test_a_run_that_resumes_exactly_passes_and_leaves_no_second_folder(shell, tmp_path):
    done = shell("train.py", "data=blobs", "dropout=0.2", "epochs=3", "debug=resume", "hydra.run.dir=run", check=True)
    assert "and resumed: weights, optimizer and metrics are identical" in done.stdout
    assert not (tmp_path / "run" / "resume_check").exists()


@pytest.mark.slow
def test_a_module_with_random_numbers_of_its_own_fails_and_the_first_tensor_is_named(shell, tmp_path):
    (tmp_path / "hidden.py").write_text(MODULE)
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/hidden.yaml").write_text("_target_: hidden.Hidden\n")
    path = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT / "tests"), str(tmp_path)])}
    run = ["data=blobs", "model=hidden", "batch_size=300", "epochs=20", "debug=resume", path]
    done = shell("train.py", *run, env=paths, fresh=True)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "resumed differs from this one: in checkpoints/last.ckpt, state_dict.net.0.weight is a tensor" in done.stderr


def test_a_run_of_one_step_is_rejected(run):
    check = "+callbacks.check={_target_: kindling.callbacks.resume_check.callback.ResumeCheck, folder: unused}"
    with pytest.raises(UserError, match="needs at least two optimizer steps"):
        run("data=blobs", "batch_size=full", "epochs=1", check)
