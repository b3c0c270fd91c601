"""Pictures of a sweep's best jobs."""

import json

import pytest

from kindling.sweeps.best_pictures import best, draw_best


@pytest.mark.parametrize(
    ("mode", "monitor", "order"),
    [("max", "val/x", "bca"), ("min", "val/x", "acb"), ("auto", "val/accuracy", "bca"), ("auto", "val/loss", "acb")],
)
def test_the_best_jobs_have_the_best_finite_scores(tmp_path, mode, monitor, order):
    for name, score in {"a": 0.1, "b": 0.3, "c": 0.2, "d": None, "e": float("nan")}.items():
        result = {"status": "finished", "mode": mode, "monitor": monitor, "score": score}
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(result))
    assert "".join(folder.name for folder in best([tmp_path / name for name in "abcde"])) == order


def test_no_best_jobs_are_guessed_if_the_direction_is_unknown(tmp_path, caplog):
    result = {"status": "finished", "mode": "auto", "monitor": "val/x", "score": 0.1}
    (tmp_path / "result.json").write_text(json.dumps(result))
    draw_best([tmp_path])
    why = "ValueError: it is unknown whether a higher val/x is better: set mode=max or mode=min"
    assert f"pictures of the best jobs: skipped, {why}" in caplog.text
