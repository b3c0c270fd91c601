"""The command line before torch is imported: help, refusals, notes."""

import ast
import json
import re
import subprocess
import sys

import pytest
from conftest import PLAIN, PROJECT, needs, notes
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from kindling import UserError
from kindling.cli import conf as conf_folders
from kindling.cli import validation as options
from kindling.cli.before_run import Check

TOGETHER = PROJECT / "conf/hydra/launcher/together.yaml"
# Runs train.py's command line, then says whether torch was imported, whatever SystemExit came.
WATCH = """
import runpy, sys
sys.argv = ["{script}", *{words}]
try:
    runpy.run_path("{script}", run_name="__main__")
finally:
    print("torch imported:", "torch" in sys.modules)
"""


@pytest.fixture
def watched(tmp_path):
    def call(*words: str) -> subprocess.CompletedProcess:
        code = WATCH.format(script=(PROJECT / "train.py").as_posix(), words=list(words))
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60
        )

    return call


def test_help_lists_what_stands_in_conf_with_a_meaning_and_without_torch(watched):
    shown = watched("--help")
    assert (shown.returncode, "torch imported: False" in shown.stdout) == (0, True), shown.stderr
    files: dict[str, set[str]] = {}
    for folder in (PROJECT / "conf", *(PROJECT / "src").glob("*/*/conf")):  # an optional part may have its own
        for file in (file.relative_to(folder).with_suffix("") for file in folder.glob("*/**/[!_]*.yaml")):
            files.setdefault(file.parts[0], set()).add("/".join(file.parts[1:]))
    for group in files.keys() - {"hydra"}:
        section = re.search(rf"^{group}:\n((?:  .*\n)+)", shown.stdout, re.M).group(1)
        listed = {line.split()[0]: line.split()[1:] for line in section.splitlines()}
        assert listed.keys() == files[group]
        assert all(listed.values())
    for option in (
        "activation",
        "depth",
        "width",
        "hidden_sizes",
        "dropout",
        "seed",
        "steps_per_execution",
        "patience",
    ):
        assert re.search(rf"^  {option} +\S.*\(default .*\)$", shown.stdout, re.M)


def test_cfg_job_prints_the_config_without_torch(watched):
    shown = watched("--cfg", "job", "model=wide", "optimizer=sgd")
    assert (shown.returncode, "torch imported: False" in shown.stdout) == (0, True)
    assert "lr: 0.1" in shown.stdout
    assert "width: 256" in shown.stdout


@pytest.mark.parametrize(
    ("words", "message"),
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
        (["epochs=0"], "epochs must be a whole number from 1"),
        (["lr=-0.1"], "lr must be a number from 0"),
        (["lr=fast"], "lr must be a number from 0"),
        (["batch_size=half"], "batch_size must be a whole number from 1, or full"),
        (["dropout=1.0"], "dropout must be a number from 0 to under 1"),
        (["hidden_sizes=6"], "hidden_sizes must be a list"),
        (["seed=-1"], "seed must be a whole number from 0"),
        (["precision=bf17"], "precision must be null or one of 16, bf16"),
        (["loss=hing"], "loss=hing is unknown. Did you mean hinge?"),
        (["loss=torch.nn.HuberLoss"], "write 'loss={_target_: torch.nn.HuberLoss}'"),
        pytest.param(
            ["init=xavir"], "init=xavir is unknown. Did you mean xavier?", marks=needs("callbacks/weight_init.py")
        ),
        (["data.path=???"], "data.path must be given"),
        (["experiment=null"], "write ~experiment"),
        (["model=deep", "lr=[1"], "lr=[1 cannot be read as it is: write  lr=[1]"),
        (["-m", "activation=rellu"], "activation=rellu is unknown. Did you mean relu?"),
        (["epochs", "=", "10"], "here  epochs=10"),
        (["data=csv", "data.path=no.csv"], "data.path=no.csv is no file"),
        pytest.param(["init=no.json"], "init=no.json is no file", marks=needs("callbacks/weight_init.py")),
        pytest.param(
            ["folds=3"],
            "folds=3 is of a sweep: put -m in front (train.py -m folds=3 ...), or leave it out.",
            marks=needs("sweeps"),
        ),
        (["+callbacks.own._target_=nowhere.Own"], "nowhere.Own needs nowhere, which is not installed"),
        pytest.param(
            ["-m", "init=zeros,no.json", "sweep.name=s"],
            "init=no.json is no file",
            marks=needs("sweeps"),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_stops_before_torch_with_a_plain_sentence(watched, tmp_path, words, message):
    refused = watched(*words)
    assert refused.returncode == 2, refused.stderr
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "torch imported: False" in refused.stdout
    assert "-m" in words or not (tmp_path / "runs").exists()


def test_outside_the_environment_it_says_how_to_activate_it(tmp_path):
    # -S leaves the packages out, as another Python would.
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


@pytest.mark.parametrize("word", ["depth=8", "activation=tanh", "dropout=0.1", "width=3", "hidden_sizes=[3]"])
def test_a_knob_that_the_model_does_not_read_is_named(word):
    (line,) = notes("model=logistic", word)
    assert line.startswith(f"note: {word} has no effect here")


def test_hidden_sizes_replaces_depth_and_says_so():
    assert notes("hidden_sizes=[6,4]", "depth=8") == [
        "note: depth=8 has no effect, hidden_sizes replaces depth and width"
    ]


def test_a_degree_without_polynomial_and_a_rate_of_nothing_are_named():
    assert notes("degree=3") == ["note: degree=3 has no effect, it is of features=polynomial"]
    assert notes("features=polynomial", "degree=3") == []
    assert notes("lr=0") == notes("optimizer.lr=0") == ["note: lr=0, so no weight will move"]


def test_a_debug_preset_is_no_surprise():
    assert notes("debug=fast", "data=ring") == []


@pytest.mark.parametrize(
    "words",
    [
        ["model=deep", "depth=4", "width=8", "activation=tanh", "dropout=0.1", "lr=0.5", "optimizer=sgd", "seed=3"],
        ["model=wide", "width=9", "epochs=3", "batch_size=full", "scale=none", "patience=3", "monitor=val/accuracy"],
        ["data=blobs", "optimizer=adam", "lr=0.01", "resume=null", "verbose=true", "steps_per_execution=1"],
    ],
)
def test_knobs_that_are_read_are_not_named(words):
    assert notes(*words) == []


@pytest.mark.parametrize(
    ("words", "lr"),
    [
        (["optimizer=sgd"], 0.1),
        (["optimizer=adam", "lr=0.01"], 0.01),
        (["lr=0.02", "optimizer=sgd"], 0.02),
        ([], 0.003),
    ],
)
def test_naming_an_optimizer_brings_its_rate_unless_lr_is_named_too(words, lr):
    from conftest import compose_config

    assert compose_config(*words).optimizer.lr == lr


def test_flags_may_stand_anywhere():
    from kindling.cli import resume

    assert resume.expand(["data=ring", "-m", "seed=0,1"]) == ["-m", "data=ring", "seed=0,1"]


@pytest.mark.parametrize("word", ["repeat=2", "folds=3", "on_error=stop", "sweep.name=a"])
def test_what_only_a_sweep_reads_is_refused_without_one(word):
    with pytest.raises(UserError, match=rf"^{word} is of a sweep: put -m in front"):
        options.refuse_sweep_options(["seed=3", word])
    options.refuse_sweep_options(["repeat=1", "folds=null", "on_error=continue", "epochs=3"])


def test_files_are_looked_for_only_where_a_class_of_ours_reads_them():
    own = {"_target_": "kindling.data.tabular.Table", "path": "data/ring.csv", "test_path": "no.csv"}
    with pytest.raises(UserError, match=r"^data.test_path=no.csv is no file"):
        options.check_files({"data": own})
    options.check_files({"data": {**own, "test_path": None}, "init": "zeros"})
    options.check_files({"data": {"_target_": "mine.Table", "path": "s3://bucket"}})


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """Groups of which an optimizer brings lr=0.003 to all, and two models an lr: one for itself, one to all."""
    for name, package in (("optimizer/adam", "_global_"), ("model/own", "model"), ("model/all", "_global_")):
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"# @package {package}\nlr: {0.003 if 'adam' in name else 5}\n", encoding="utf-8")
    monkeypatch.setattr(conf_folders, "FOLDERS", [tmp_path])


@pytest.mark.usefixtures("conf")
def test_a_model_s_own_lr_is_none_of_the_run_s():
    typed = {"optimizer": "adam", "model": "own"}
    assert options.notes(typed, {"lr": 0.003, "model": {"lr": 5}}, {"lr"}, typed) == []


@pytest.mark.usefixtures("conf")
def test_a_value_that_another_file_replaced_is_named_with_that_file():
    (line,) = options.notes({"optimizer": "adam"}, {"lr": 5}, {"lr"}, {"optimizer": "adam", "model": "all"})
    assert line == "note: lr=5 is that of model=all; optimizer=adam alone would bring lr=0.003"


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
    """Calls in a file that open a text, or take the output of a program as text, without an encoding."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        binary = any(isinstance(mode, str) and "b" in mode and len(mode) < 4 for mode in modes)
        is_text = (name in TEXT_CALLS and not binary) or given.get("text") == "True"
        if is_text and "encoding" not in given and ast.unparse(node.func) not in ("os.open", "tarfile.open"):
            yield f"{file.relative_to(PROJECT).as_posix()}:{node.lineno}"


def test_every_text_file_is_opened_with_its_encoding():
    files = [*(PROJECT / "src").rglob("*.py"), *PROJECT.glob("*.py"), PROJECT / "tests" / "conftest.py"]
    assert [place for file in files for place in unnamed_encodings(file)] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "word",
    ["~logger", "~schedule", "~average", "~debug", "~experiment", "~callbacks.confusion", "~logger.tensorboard"],
)
def test_a_run_works_without_what_may_be_left_out(shell, tmp_path, word):
    done = shell("train.py", "data=blobs", "epochs=1", "trainer=cpu", *PLAIN, word)
    assert done.returncode == 0, done.stderr
    (result,) = (tmp_path / "runs").rglob("result.json")
    assert json.loads(result.read_text(encoding="utf-8"))["status"] == "finished"
    assert bool(list(result.parent.glob("events.*"))) != ("logger" in word)


@pytest.mark.slow
def test_a_diverged_run_and_one_that_lacks_an_argument_end_with_1_and_2_and_one_line(shell):
    plain = ["data=blobs", "epochs=2", "trainer=cpu", *PLAIN]
    assert shell("train.py", *plain, "optimizer=sgd", "lr=1e9").returncode == 1
    refused = shell("train.py", *plain, "+model.widht=3")
    assert (refused.returncode, refused.stderr) == (
        2, "kindling.models.mlp.Deep has no argument widht. Did you mean width?\n",
    )  # fmt: skip
