"""The samples of a small table are shown with their predictions and the shapes of tensors."""

from conftest import weights_of

from kindling.lectures import few_samples

FEW = f"+callbacks.few_samples={{_target_: {few_samples.__name__}.FewRows}}"


def test_weights_set_by_hand_predict_xor(run):
    result = run("experiment=lectures/xor_gates")
    assert [line.split()[-1] for line in result["predictions"]] == ["0.00", "1.00", "1.00", "0.00"]
    assert result["predictions"][1] == "a 0  b 1  target 1  prediction 1.00"
    assert result["shapes"][0].startswith("x (4, 2)  net.0.weight (2, 2)  net.0.bias (2)")


def test_the_predictions_of_a_linear_model_equal_its_equation(run, tmp_path):
    result = run("data=line", "model=linear", "epochs=3", FEW)
    weights = weights_of(tmp_path / "run", "best")
    assert len(result["predictions"]) == few_samples.MAX_SAMPLES
    assert len(weights) == 2
    slope, constant = (float(part) for part in result["equation"][0].split() if part.replace(".", "").isdigit())
    for line in result["predictions"]:
        x, preds = float(line.split()[1]), float(line.split()[-1])
        assert abs(slope * x + constant - preds) < 0.01


def test_an_error_does_not_end_the_run(run, monkeypatch, caplog):
    monkeypatch.setattr(few_samples, "predict", None)
    assert "test/mse" in run("data=line", "model=linear", "epochs=1", FEW)["metrics"]
    assert "samples with their predictions: skipped, TypeError" in caplog.text


def test_each_class_has_a_probability_and_images_are_not_shown(run):
    args = ["data=blobs", "data.centres=3", "epochs=1"]
    assert len(run(*args, FEW)["predictions"][0].partition("prediction ")[2].split()) == 3
    assert run("data=mnist_sample", "model=linear", "epochs=1", FEW, folder="images")["predictions"] == []
