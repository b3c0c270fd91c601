"""`python -m kindling report`: a self-contained file with the contents of the folder's files."""

import base64
import csv
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from conftest import PLAIN, PROJECT
from sweeps.leaderboard_helpers import job_writer

from kindling.commands.report import page as html
from kindling.commands.report.command import write_report
from kindling.training.result import number

needs_pictures = pytest.mark.skipif(not PLAIN, reason="pictures is stripped")


class Read(HTMLParser):
    """A parsed page: its tables (rows of cells), text, embedded pictures and external links."""

    def __init__(self, html: str):
        super().__init__()
        self.tables, self.text, self.pictures, self.outside, self.open = [], "", [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        of = dict(attrs)
        assert tag not in ("script", "link", "iframe", "b")
        for name in ("src", "href"):
            if name in of and of[name].startswith("data:image/png;base64,"):
                self.pictures.append(base64.b64decode(of[name].partition(",")[2], validate=True))
                assert of["alt"]
            elif name in of:
                self.outside.append(of[name])
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("th", "td"):
            self.tables[-1][-1][-1] += data
        if "style" not in self.open:
            self.text += data


def python(folder, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *args], cwd=folder, capture_output=True, text=True)


def reported(folder) -> Read:
    assert write_report(folder) == folder / "report.html"
    page = Read((folder / "report.html").read_text(encoding="utf-8"))
    assert page.outside == []
    assert page.open == []
    return page


@needs_pictures
def test_the_report_of_a_run_has_result_pictures_advice_command_and_config(finished):
    folder = finished("data=ring", "scale=none", "optimizer=sgd", "lr=1e-4", "epochs=10", "pictures=final")
    page = reported(folder)
    result = json.loads((folder / "result.json").read_text())
    for name, *cells in page.tables[0][1:]:
        assert cells == [number(result["metrics"][f"{stage}/{name}"]) for stage in ("train", "val", "test")]
    assert [row[0] for row in page.tables[1][1:]] == ["this run", "majority class", "logistic regression"]
    assert page.tables[1][1][1:] == [row[3] for row in page.tables[0][1:]]
    files = [file.read_bytes() for file in folder.glob("*.png")]
    assert len(files) > 2
    assert all(file in page.pictures for file in files)
    assert len(page.pictures) == len(files) + 1  # one is drawn from metrics.csv
    for sentence in (*result["advice"], result["command"], (folder / ".hydra/config.yaml").read_text().strip()):
        assert sentence in page.text
    assert len(result["advice"]) > 0


@needs_pictures
def test_class_names_are_escaped_and_a_matrix_without_a_picture_is_a_table(finished, tmp_path):
    rows = [f"{i % 7},{i % 5},{'<b>yes' if i % 3 else 'no & never'}" for i in range(90)]
    (tmp_path / "own.csv").write_text("\n".join(["a,b,label", *rows]) + "\n")
    folder = finished("data=csv", f"data.path={tmp_path / 'own.csv'}", "data.target=label", "epochs=2")
    for file in folder.glob("*.png"):
        file.unlink()
    matrices = list(folder.glob("confusion_matrix*.csv"))
    page = reported(folder)
    assert len(matrices) == 2
    for file in matrices:
        with file.open(newline="") as opened:
            assert list(csv.reader(opened)) in page.tables
    assert "<b>yes" in page.text
    assert f"python -m kindling pictures run={folder}" in page.text


@needs_pictures
@pytest.mark.slow
def test_the_report_of_a_sweep_has_leaderboard_effects_and_pictures_of_the_winner(tmp_path):
    args = ("data=ring", "activation=relu,tanh", "lr=0.01,1e9", "epochs=3", "optimizer=sgd")
    python(tmp_path, str(PROJECT / "train.py"), "-m", *args, "hydra.sweep.dir=sweep", "trainer=cpu")
    folder = tmp_path / "sweep"
    page = reported(folder)
    with (folder / "leaderboard.csv").open(newline="") as file:
        board = list(csv.DictReader(file))
    ranked = [row for row in board if row["rank"] or row["status"] == "baseline"]
    head, *rows = page.tables[0]
    assert [row[head.index("val/loss")] for row in rows] == [number(float(row["val/loss"])) for row in ranked]
    diverged = [row["folder"] for row in board if row["status"] == "diverged"]
    assert len(diverged) == 2
    assert {row[0] for row in page.tables[-1][1:]} == set(diverged)
    winner = folder / next(row["folder"] for row in board if row["rank"] == "1")
    pictures = [file.read_bytes() for file in [folder / "effects.png", *winner.glob("*.png")]]
    assert len(pictures) > 3
    assert all(picture in page.pictures for picture in pictures)
    assert next(row["command"] for row in board if row["rank"] == "1") in page.text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "got none, expected python -m kindling report run=<folder of a run or sweep>"),
        (("sweep=nowhere",), "got sweep=nowhere, expected python -m kindling report run="),
        (("run=nowhere",), "nowhere is not a folder"),
        (("run=empty",), "empty contains no jobs"),
        (("run=killed",), "killed has no result.json: the run is in progress, or was killed (resume=killed)"),
    ],
)
def test_folders_without_a_finished_run_or_a_sweep_are_rejected(tmp_path, args, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "killed/.hydra").mkdir(parents=True)
    (tmp_path / "killed/.hydra/config.yaml").write_text("data: {}\n")
    done = python(tmp_path, "-m", "kindling", "report", *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.rglob("report.html"))


@pytest.mark.parametrize("score", [0.3, None])
def test_a_sweep_with_undefined_values_has_a_report(tmp_path, score):
    job = job_writer(tmp_path / "sweep")
    for lr in (1, 2):
        job(f"lr={lr}", score=score, metrics={"val/auroc": None})
    page = reported(tmp_path / "sweep")
    if score is None:
        assert "No job finished with a finite val/loss." in page.text
    else:
        assert page.tables[0][1][page.tables[0][0].index("auroc")] == "undefined"


def test_a_run_without_defined_values_or_readable_metrics_has_a_report(finished):
    folder = finished("data=ring", "epochs=1", "test=false")
    result = json.loads((folder / "result.json").read_text())
    result |= {"best_epoch": None, "metrics": {"val/loss": None, "val_auc": 0.5}}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "metrics.csv").write_text("epoch,val/loss\nx,y\n")
    page = reported(folder)
    assert page.tables[0] == [["", "val"], ["loss", "undefined"], ["auc", "0.5000"]]
    assert re.search(r"The run finished after 1 epoch and \d+\.\d s\. It has no best epoch\.", page.text)


def test_the_first_sentence_of_a_report_gives_the_result(finished):
    folder = finished("epochs=2")
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    best = f"with val/loss {number(metrics['val/loss'])}; on the test samples"
    tested = f"it reaches accuracy {number(metrics['test/accuracy'])} and loss {number(metrics['test/loss'])}."
    assert f"{best} {tested}" in reported(folder).text


@pytest.mark.slow
def test_the_report_of_a_regression_distinguishes_loss_and_mse(finished):
    assert "loss is the MSE of the scaled target" in reported(finished("data=line", "epochs=1")).text


def test_a_wide_table_scrolls_and_long_cells_are_wrapped():
    assert "overflow-x: auto" in html.page("title")
    assert (
        html.table([["a"], ["x" * 40]])
        == f'<table><tr><th>a</th></tr><tr><td class="long">{"x" * 40}</td></tr></table>'
    )
