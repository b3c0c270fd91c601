"""`python -m kindling predict` with image files, which become like MNIST's whatever their size and colours."""

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT
from PIL import Image

from kindling import UserError
from kindling.commands.predict import predict
from kindling.training.prediction.image_predictor import ImagePredictor, prepare, read_grey

DIGITS = np.load(PROJECT / "data" / "mnist_sample.npz")["x_test"][:60].reshape(-1, 28, 28)


@pytest.fixture
def cnn(finished):
    return finished("data=mnist_sample", "model=cnn", "epochs=2")


def photo(digit: np.ndarray, number: int) -> Image.Image:
    """Return a digit in a larger noisy image, of another size, dark on light if the number is odd, or in colour."""
    rng = np.random.default_rng(number)
    scaled = Image.fromarray(digit).resize((int(rng.integers(60, 160)),) * 2, Image.Resampling.BICUBIC)
    image = Image.new("L", (scaled.width + int(rng.integers(200)), scaled.height + int(rng.integers(200))))
    image.paste(scaled, (int(rng.integers(image.width - scaled.width + 1)), 0))
    pixels = np.asarray(image).astype(float)
    pixels = (235 - 0.8 * pixels if number % 2 else pixels) + rng.normal(0, 3, pixels.shape)
    grey = Image.fromarray(pixels.clip(0, 255).astype("uint8"))
    return Image.merge("RGB", [grey, grey.point(lambda value: 0.9 * value), grey]) if number % 3 == 0 else grey


def test_a_digit_of_mnist_stays_almost_the_same(tmp_path):
    differences = [np.abs(prepare(digit.astype(float), 28, tmp_path).astype(float) - digit).mean() for digit in DIGITS]
    assert np.mean(differences) < 6  # of 255; another digit differs by about 40
    assert np.mean(np.abs(DIGITS[1:].astype(float) - DIGITS[:-1])) > 30


@pytest.mark.slow
def test_photos_become_the_digits_that_they_show(cnn, tmp_path):
    predictor = ImagePredictor(cnn)
    for i, digit in enumerate(DIGITS):
        photo(digit, i).save(tmp_path / f"{i:02}.png")
        Image.fromarray(digit).save(tmp_path / f"{i:02}_plain.png")
    photos, seen = predictor(sorted(tmp_path.glob("??.png")))
    plain, images = predictor(sorted(tmp_path.glob("*_plain.png")))
    assert np.abs(seen.astype(float) - images).mean() < 12
    assert (photos.prediction == plain.prediction).mean() >= 0.95
    shares = photos.filter(like="probability")
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert list(photos.columns[:3]) == ["file", "prediction", "probability 0"]


def test_transparent_pixels_are_white(tmp_path):
    drawn = np.zeros((50, 40, 4), dtype="uint8")
    drawn[10:40, 18:22, 3] = 255  # a black line, and nothing around it
    Image.fromarray(drawn).save(tmp_path / "one.png")
    grey = read_grey(tmp_path / "one.png")
    assert (grey[0, 0], grey[20, 20]) == (255, 0)
    image = prepare(grey, 28, tmp_path)
    rows, columns = np.nonzero(image)
    assert (rows.min(), rows.max(), len(set(columns))) == (4, 23, 3)  # 20 pixels high and centred
    assert abs(columns.mean() - 14) <= 0.5


def test_the_command_writes_predictions_and_a_picture_of_what_the_model_saw(cnn, tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(12):
        photo(DIGITS[i], i).save(tmp_path / "in" / f"{i:02}.{'jpg' if i % 2 else 'png'}")
    found = predict(cnn, str(tmp_path / "in" / "*.png"), str(tmp_path / "out.csv"))
    table = pd.read_csv(tmp_path / "out.csv")
    assert [name[-6:] for name in table.file] == [f"{i:02}.png" for i in range(0, 12, 2)]
    assert found["picture"] == str(tmp_path / "out.png")
    assert Image.open(tmp_path / "out.png").size == (6 * 116, 130)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text.png", "text.png cannot be read as an image"),
        ("blank.png", "blank.png shows nothing: all pixels have about the same brightness"),
        ("none*.png", r"input=.*none\*.png: no such file. Put a pattern in quotes"),
        ("table.csv", "was not trained on a table with columns"),
    ],
)
def test_an_unsuitable_input_is_rejected_and_nothing_is_written(cnn, tmp_path, name, message):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    Image.new("L", (40, 40), 200).save(tmp_path / "blank.png")
    with pytest.raises(UserError, match=message):
        predict(cnn, str(tmp_path / name), str(tmp_path / "out.csv"))
    assert not list(tmp_path.glob("out.*"))


def test_a_run_of_a_table_does_not_predict_images(finished, tmp_path):
    Image.fromarray(DIGITS[0]).save(tmp_path / "digit.png")
    with pytest.raises(UserError, match=r"was not trained on square grey images, but on inputs of the shape \[8\]"):
        predict(finished("epochs=1"), str(tmp_path / "digit.png"), str(tmp_path / "out.csv"))
