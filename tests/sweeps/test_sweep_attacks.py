"""A sweep's folder that somebody else has written can neither write outside of itself nor execute code."""

import json
import re

import pytest
from conftest import PLAIN
from omegaconf import OmegaConf
from trust_helpers import SMALL

from kindling import UserError
from kindling.cli.folders import resume
from kindling.sweeps.folder import SweepFolder

SWEEP = ["-m", *SMALL, *PLAIN, "trainer=cpu", "seed=0,1", "hydra.launcher.workers=0"]


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "..", "a\\b", "'a:b'", "a" * 256])
def test_a_name_that_is_a_path_is_rejected_before_anything_is_written(name, shell, tmp_path):
    done = shell("train.py", *SWEEP, f"sweep.name={name}")
    assert done.returncode == 2
    assert "cannot name a folder in runs/sweeps: it " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_jobs_json_names_no_folder_outside_the_sweep(tmp_path):
    entry = {"folder": "../other", "overrides": [], "key": "0" * 12}
    (tmp_path / "jobs.json").write_text(json.dumps({"jobs": [entry]}))
    found = r"jobs\.json names the folder '\.\./other', but it contains '/'"
    with pytest.raises(UserError, match=found):
        SweepFolder(tmp_path)
    assert re.search(found, resume._why_not_sweep(tmp_path, []))  # so that resume=last skips it


@pytest.mark.slow
def test_a_resumed_sweep_does_not_write_through_a_link(shell, tmp_path):
    shell("train.py", *SWEEP, "sweep.name=s", check=True)
    folder, victim = tmp_path / "runs/sweeps/s", tmp_path / "victim"
    victim.write_text("untouched")
    (folder / "workers.log").symlink_to(victim)
    for args in ([f"resume={folder}"], [*SWEEP, "seed=0,1,2", "sweep.name=s"], ["-m", "resume=last", "seed=5"]):
        done = shell("train.py", *args)
        assert (done.returncode, victim.read_text()) == (2, "untouched")
        assert "workers.log is a link to" in done.stderr


@pytest.mark.parametrize(("given", "kept"), [([], []), (["trust=true"], ["trust=true"])])
def test_trust_in_the_overrides_of_a_sweep_has_no_effect(given, kept, tmp_path):
    overrides = {"task": ["seed=0,1", "trust=true"], "hydra": ["hydra.mode=MULTIRUN", "hydra.launcher.workers=0"]}
    OmegaConf.save(OmegaConf.create({"hydra": {"overrides": overrides}}), tmp_path / "multirun.yaml")
    expected = ["-m", "seed=0,1", "hydra.launcher.workers=0", *kept, f"hydra.sweep.dir='{tmp_path}'"]
    assert resume.expand([f"resume={tmp_path}", *given]) == expected


def test_the_logging_of_a_resumed_sweep_starts_no_program(shell, tmp_path):
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent/jobs.json").write_text('{"jobs": []}')
    witness = tmp_path / "witness"
    evil = f"+hydra.job_logging.handlers.evil={{class: subprocess.Popen, args: [touch, {witness}]}}"
    overrides = {"task": [*SMALL, "seed=0,1"], "hydra": [evil]}
    OmegaConf.save(OmegaConf.create({"hydra": {"overrides": overrides}}), tmp_path / "sent/multirun.yaml")
    done = shell("train.py", "resume=sent")
    assert done.returncode == 2
    assert "sent would set +hydra.job_logging" in done.stderr
    assert not witness.exists()
