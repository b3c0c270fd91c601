"""The command line before torch is imported: help, error messages, notes."""

import ast
import json
import re
import subprocess
import sys

import pytest
from conftest import PLAIN, PROJECT, compose_config, needs, notes
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from kindling import UserError
from kindling.cli import conf as conf_folders
from kindling.cli import validation
from kindling.cli.before_run import Check

TOGETHER = PROJECT / "conf/hydra/launcher/together.yaml"
# Runs train.py, then prints whether torch was imported, even after SystemExit.
WATCH = """
import runpy, sys
sys.argv = ["{script}", *{args}]
try:
    runpy.run_path("{script}", run_name="__main__")
finally:
    print("torch imported:", "torch" in sys.modules)
"""


@pytest.fixture
def watched(tmp_path):
    def call(*args: str) -> subprocess.CompletedProcess:
        code = WATCH.format(script=(PROJECT / "train.py").as_posix(), args=list(args))
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60
        )

    return call


def test_help_describes_every_choice_and_option_without_importing_torch(watched):
    done = watched("--help")
    assert (done.returncode, "torch imported: False" in done.stdout) == (0, True), done.stderr
    files: dict[str, set[str]] = {}
    for folder in (PROJECT / "conf", *(PROJECT / "src").glob("*/*/conf")):  # an optional part may have its own
        for file in (file.relative_to(folder).with_suffix("") for file in folder.glob("*/**/[!_]*.yaml")):
            files.setdefault(file.parts[0], set()).add("/".join(file.parts[1:]))
    for group in files.keys() - {"hydra"}:
        section = re.search(rf"^{group}(?: \(default \w+\))?:\n((?:  .*\n)+)", done.stdout, re.M).group(1)
        described, *folders = re.split(r"^  (\S+/)\.\.\. ", section, flags=re.M)
        listed = {line.split()[0]: line.split()[1:] for line in described.splitlines()}
        inner = zip(folders[::2], folders[1::2], strict=True)
        assert (
            listed.keys() | {f"{name}{one}" for name, text in inner for one in re.split(r",\s+", text.strip())}
            == (files[group])
        )
        assert all(listed.values())


def test_help_shows_the_options_first_each_with_a_default_that_can_be_typed(watched):
    text = watched("--help").stdout
    shown = re.findall(r"^  ([\w.]+)=(\S+) +\S.*$", text.partition("\ndata (default diabetes):")[0], re.M)
    assert {"activation", "depth", "hidden_sizes", "seed", "steps_per_execution"} <= {name for name, _ in shown}
    assert {("mode", "auto"), ("sweep.name", "null"), ("monitor", "val/loss")} <= set(shown)
    compose_config(*(f"{name}={value}" for name, value in shown))


def test_cfg_job_prints_the_config_without_importing_torch(watched):
    done = watched("--cfg", "job", "model=wide", "optimizer=sgd")
    assert (done.returncode, "torch imported: False" in done.stdout) == (0, True)
    assert "lr: 0.1" in done.stdout
    assert "width: 256" in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["model=deap"], "model=deap is unknown. Did you mean deep?"),
        (["data=diabetis"], "data=diabetis is unknown. Did you mean diabetes?"),
        pytest.param(
            ["experiment=lectures/diabets"],
            "experiment=lectures/diabets is unknown. Did you mean lectures/diabetes?",
            marks=needs("lectures"),
        ),
        (["epocs=3"], "epocs is unknown. Did you mean epochs?"),
        (["model.dept=3"], "model.dept is unknown. Did you mean depth?"),
        (["activation=rellu"], "activation=rellu is unknown. Did you mean relu?"),
        (["activation=softmax"], "mixes the units of a layer"),
        (["scale=standart"], "scale=standart is unknown. Did you mean standard?"),
        (["epochs=0"], "epochs must be a positive integer"),
        (["lr=-0.1"], "lr must be a number of at least 0"),
        (["lr=fast"], "lr must be a number of at least 0"),
        (["batch_size=half"], "batch_size must be a positive integer, or full"),
        (["dropout=1.0"], "dropout must be a number from 0 up to but not including 1"),
        (["hidden_sizes=6"], "hidden_sizes must be a list"),
        (["seed=-1"], "seed must be an integer from 0"),
        (["precision=bf17"], "precision must be null or one of 16, bf16"),
        (["loss=hing"], "loss=hing is unknown. Did you mean hinge?"),
        (["loss=torch.nn.HuberLoss"], "write 'loss={_target_: torch.nn.HuberLoss}'"),
        pytest.param(
            ["init=xavir"], "init=xavir is unknown. Did you mean xavier?", marks=needs("callbacks/weight_init.py")
        ),
        (["data.path=???"], "data.path must be given"),
        (["experiment=null"], "write ~experiment"),
        (["model=deep", "lr=[1"], "lr=[1 cannot be parsed: write  lr=[1]"),
        (["-m", "activation=rellu"], "activation=rellu is unknown. Did you mean relu?"),
        (["epochs", "=", "10"], "here  epochs=10"),
        (["data=csv", "data.path=no.csv"], "data.path=no.csv: no such file"),
        pytest.param(["init=no.json"], "init=no.json: no such file", marks=needs("callbacks/weight_init.py")),
        pytest.param(
            ["folds=3"],
            "folds=3 only applies to sweeps: put -m in front (train.py -m folds=3 ...), or remove it.",
            marks=needs("sweeps"),
        ),
        (["+callbacks.own._target_=nowhere.Own"], "nowhere.Own needs nowhere, which is not installed"),
        pytest.param(
            ["-m", "init=zeros,no.json", "sweep.name=s"],
            "init=no.json: no such file",
            marks=needs("sweeps"),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_invalid_argument_gets_a_plain_message_before_torch_is_imported(watched, tmp_path, args, message):
    rejected = watched(*args)
    assert rejected.returncode == 2, rejected.stderr
    assert message in rejected.stderr
    assert "Traceback" not in rejected.stderr
    assert "torch imported: False" in rejected.stdout
    assert "-m" in args or not (tmp_path / "runs").exists()


def test_outside_the_environment_the_message_explains_how_to_activate_it(tmp_path):
    # -S hides the installed packages, like a Python outside the environment.
    bare = subprocess.run(
        [sys.executable, "-S", str(PROJECT / "train.py")],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        env={},
        timeout=60,
    )
    assert bare.returncode == 2
    assert "source .venv/bin/activate" in bare.stderr
    assert "Traceback" not in bare.stderr


@pytest.mark.parametrize("override", ["depth=8", "activation=tanh", "dropout=0.1", "width=3", "hidden_sizes=[3]"])
def test_an_option_that_the_model_does_not_read_gets_a_note(override):
    (line,) = notes("model=logistic", override)
    assert line.startswith(f"note: {override} has no effect: nothing in this run reads it")


def test_depth_gets_a_note_when_hidden_sizes_replaces_it():
    assert notes("hidden_sizes=[6,4]", "depth=8") == [
        "note: depth=8 has no effect: hidden_sizes overrides depth and width"
    ]


def test_a_degree_without_polynomial_features_and_a_learning_rate_of_0_get_notes():
    assert notes("degree=3") == ["note: degree=3 has no effect: it only applies to features=polynomial"]
    assert notes("features=polynomial", "degree=3") == []
    assert notes("lr=0") == notes("optimizer.lr=0") == ["note: lr=0, so the weights will not change"]


def test_values_replaced_by_a_debug_preset_get_no_note():
    assert notes("debug=fast", "data=ring") == []


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=deep", "depth=4", "width=8", "activation=tanh", "dropout=0.1", "lr=0.5", "optimizer=sgd", "seed=3"],
        ["model=wide", "width=9", "epochs=3", "batch_size=full", "scale=none", "patience=3", "monitor=val/accuracy"],
        ["data=blobs", "optimizer=adam", "lr=0.01", "resume=null", "verbose=true", "steps_per_execution=1"],
    ],
)
def test_options_that_are_read_get_no_note(overrides):
    assert notes(*overrides) == []


@pytest.mark.parametrize(
    ("overrides", "lr"),
    [
        (["optimizer=sgd"], 0.1),
        (["optimizer=adam", "lr=0.01"], 0.01),
        (["lr=0.02", "optimizer=sgd"], 0.02),
        ([], 0.003),
    ],
)
def test_an_optimizer_sets_its_learning_rate_unless_lr_is_given(overrides, lr):
    from conftest import compose_config

    assert compose_config(*overrides).optimizer.lr == lr


def test_flags_may_come_anywhere():
    from kindling.cli.folders import resume

    assert resume.expand(["data=ring", "-m", "seed=0,1"]) == ["-m", "data=ring", "seed=0,1"]


@pytest.mark.parametrize("override", ["repeat=2", "folds=3", "on_error=stop", "sweep.name=a"])
def test_an_option_that_only_a_sweep_reads_is_rejected_without_one(override):
    with pytest.raises(UserError, match=rf"^{override} only applies to sweeps: put -m in front"):
        validation.reject_sweep_options(["seed=3", override])
    validation.reject_sweep_options(["repeat=1", "folds=null", "on_error=continue", "epochs=3"])


def test_files_are_checked_only_for_the_built_in_data_classes():
    node = {"_target_": "kindling.data.tables.table.Table", "path": "data/ring.csv", "test_path": "no.csv"}
    with pytest.raises(UserError, match=r"^data.test_path=no.csv: no such file"):
        validation.check_files({"data": node})
    validation.check_files({"data": {**node, "test_path": None}, "init": "zeros"})
    validation.check_files({"data": {"_target_": "mine.Table", "path": "s3://bucket"}})


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """Config groups in which adam sets the global lr=0.003, model=own its own lr, and model=all the global lr."""
    for name, package in (("optimizer/adam", "_global_"), ("model/own", "model"), ("model/all", "_global_")):
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"# @package {package}\nlr: {0.003 if 'adam' in name else 5}\n", encoding="utf-8")
    monkeypatch.setattr(conf_folders, "FOLDERS", [tmp_path])


@pytest.mark.usefixtures("conf")
def test_an_lr_of_the_model_itself_does_not_replace_the_lr_of_the_run():
    given = {"optimizer": "adam", "model": "own"}
    assert validation.notes(given, {"lr": 0.003, "model": {"lr": 5}}, {"lr"}, given) == []


@pytest.mark.usefixtures("conf")
def test_a_value_replaced_by_another_file_gets_a_note_that_names_the_file():
    (line,) = validation.notes({"optimizer": "adam"}, {"lr": 5}, {"lr"}, {"optimizer": "adam", "model": "all"})
    assert line == "note: lr=5 comes from model=all; optimizer=adam alone would set lr=0.003"


@pytest.mark.parametrize(("status", "code"), [("diverged", 1), ("finished", None)])
def test_a_single_run_that_diverged_ends_with_exit_code_1(tmp_path, status, code):
    (tmp_path / "result.json").write_text(json.dumps({"status": status}), encoding="utf-8")
    hydra = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(tmp_path)}}})
    ended = JobReturn(hydra_cfg=hydra, status=JobStatus.COMPLETED)
    if code is None:
        Check().on_run_end(hydra, ended)
    else:
        with pytest.raises(SystemExit) as exited:
            Check().on_run_end(hydra, ended)
        assert exited.value.code == code


TEXT_CALLS = ("open", "read_text", "write_text")


def unnamed_encodings(file):
    """Yield the calls in a file that open text files or capture text output without an encoding."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        binary = any(isinstance(mode, str) and "b" in mode and len(mode) < 4 for mode in modes)
        is_text = (name in TEXT_CALLS and not binary) or given.get("text") == "True"
        other = ast.unparse(node.func) in ("os.open", "tarfile.open", "Image.open", "opener.open")
        if is_text and "encoding" not in given and not other:
            yield f"{file.relative_to(PROJECT).as_posix()}:{node.lineno}"


def test_every_text_file_is_opened_with_its_encoding():
    files = [*(PROJECT / "src").rglob("*.py"), *PROJECT.glob("*.py"), PROJECT / "tests" / "conftest.py"]
    assert [place for file in files for place in unnamed_encodings(file)] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    ["~logger", "~schedule", "~average", "~debug", "~experiment", "~callbacks.confusion", "~logger.tensorboard"],
)
def test_a_run_works_without_its_optional_parts(shell, tmp_path, override):
    done = shell("train.py", "data=blobs", "epochs=1", "trainer=cpu", *PLAIN, override)
    assert done.returncode == 0, done.stderr
    (result,) = (tmp_path / "runs").rglob("result.json")
    assert json.loads(result.read_text(encoding="utf-8"))["status"] == "finished"
    assert bool(list(result.parent.glob("events.*"))) != ("logger" in override)


@pytest.mark.slow
def test_a_diverged_run_exits_with_1_and_one_with_an_unknown_argument_with_2_and_one_line(shell):
    plain = ["data=blobs", "epochs=2", "trainer=cpu", *PLAIN]
    assert shell("train.py", *plain, "optimizer=sgd", "lr=1e9").returncode == 1
    rejected = shell("train.py", *plain, "+model.widht=3")
    assert (rejected.returncode, rejected.stderr) == (
        2, "kindling.models.mlp.Deep has no argument widht. Did you mean width?\n",
    )  # fmt: skip
