"""A report of a run from elsewhere executes nothing, neither when it is written nor in a browser."""

import csv
import json

import numpy as np
import pytest
from matplotlib.image import imsave
from trust_helpers import poison, trained

from kindling import UserError
from kindling.commands.report.command import write_report

__all__ = ["trained"]

HTML = '"><img src=x onerror=alert(1)><script>alert(1)</script>'


def test_a_report_does_not_execute_the_contents_of_best_ckpt(trained):
    for name in ("best.ckpt", "last.ckpt"):
        witness = poison(trained / "checkpoints" / name)
        (trained / "metrics.csv").write_text("damaged")  # so that it is restored from a checkpoint
        with pytest.raises(UserError, match="contains more than plain data"):
            write_report(trained)
        assert not witness.exists()


@pytest.mark.parametrize("name", ["report.html.part", "baselines.json"])
def test_a_report_is_not_written_through_a_link(name, trained, tmp_path):
    (trained / name).symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="is a link to"):
        write_report(trained)
    assert not (tmp_path / "victim").exists()


def test_names_that_are_html_are_shown_and_not_executed(trained):
    result = json.loads((trained / "result.json").read_text())
    metrics = {f"{name}{HTML}": value for name, value in result["metrics"].items()} | result["metrics"]
    result |= {"command": HTML, "advice": [HTML], "metrics": metrics, "versions": {HTML: HTML}}
    (trained / "result.json").write_text(json.dumps(result))
    (trained / ".hydra/config.yaml").open("a").write(f"note: '{HTML}'\n")
    with (trained / "confusion_matrix_val.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["true", HTML, "b"], [HTML, 1, 2], ["b", 3, 4]])
    imsave(trained / 'x"><script>.png', np.zeros((2, 2)))
    renamed = trained.rename(trained.with_name("<script>alert(2)<"))
    page = write_report(renamed).read_text()
    assert page.count("&lt;script&gt;alert(1)") >= 5
    assert "<script" not in page
    assert "<img src=x" not in page
