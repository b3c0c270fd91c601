"""What a browser shows of a run and of a sweep: TensorBoard's tabs and report.html."""

import re
import subprocess
import sys
import threading

import pytest
from browser import ELEMENTS, Browser, needs_browser, wait_until
from conftest import PROJECT, needs

pytestmark = [pytest.mark.slow, needs_browser, needs("callbacks/confusion_matrix.py"), needs("callbacks/pictures.py")]
IMAGES = f"{ELEMENTS}.filter(node => node.nodeName === 'IMG' && node.src.includes('individualImage'))"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return the folder `runs` after one run and, if sweeps are not stripped, one sweep of two jobs."""
    folder = tmp_path_factory.mktemp("browser")
    commands = [["data=ring", "epochs=3"]]
    if (PROJECT / "src/kindling/sweeps").exists():
        commands.append(["-m", "activation=relu,tanh", "epochs=3", "sweep.name=both"])
    for words in commands:
        command = [sys.executable, PROJECT / "train.py", *words, "trainer=cpu"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder / "runs"


@pytest.fixture(scope="module")
def tensorboard(runs):
    """Yield the address of a TensorBoard of that folder, on the loopback interface."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs), "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(iter(process.stderr.readline, "")), daemon=True).start()
    wait_until(lambda: any("http://" in line for line in lines), "TensorBoard", seen=["".join(lines)])
    yield re.search(r"http://127\.0\.0\.1:\d+", "".join(lines)).group()
    process.terminate()
    process.wait()
    process.stderr.close()


def test_tensorboard_draws_curves_of_training_and_validation(tensorboard):
    with Browser(f"{tensorboard}/?tagFilter=%5E(train%7Cval)%2Floss%24#timeseries") as page:
        page.wait_for("Tags matching filter 2 cards train /loss", "val /loss")
        paths = f"{ELEMENTS}.filter(node => node.nodeName === 'SCALAR-CARD').length"
        wait_until(lambda: page.evaluate(paths) == 2, "two charts")


def test_tensorboard_shows_the_confusion_matrix_and_the_pictures(tensorboard):
    with Browser(f"{tensorboard}/#images") as page:
        page.wait_for("confusion/test", "surface")
        shown = f"{IMAGES}.filter(image => image.naturalWidth > 100).length"
        wait_until(lambda: page.evaluate(shown) >= 2, "pictures")


@needs("sweeps")
def test_tensorboard_has_a_column_for_each_hyperparameter_of_a_sweep(tensorboard):
    with Browser(f"{tensorboard}/#hparams") as page:
        page.wait_for("Trial ID", "activation", "batch_size", "optimizer", "relu", "tanh", "sweeps/both/activation=")


@needs("commands")
@pytest.mark.parametrize("what", ["ring-deep/*", pytest.param("sweeps/both", marks=needs("sweeps"))])
@pytest.mark.parametrize("width", [1400, 390])
def test_a_report_fits_the_window_and_shows_its_pictures(runs, what, width):
    (folder,) = runs.glob(what)
    command = [sys.executable, "-m", "kindling", "report", f"run={folder}"]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, timeout=120)
    with Browser((folder / "report.html").as_uri(), width=width) as page:
        page.wait_for("Confusion" if "ring" in what else "Leaderboard")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.images.length") >= 2
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 100)")
        boxes = (
            "[...document.querySelectorAll('figure, p, pre, table')].map(node => node.getBoundingClientRect().right)"
        )
        assert page.evaluate(f"Math.max(...{boxes})") <= width
        first = page.evaluate("document.querySelector('h1 + p').textContent")
        assert re.fullmatch(r"[A-Z].*\.", first)
        assert len(first.split()) > 8
