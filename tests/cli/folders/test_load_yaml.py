"""A config from elsewhere that is damaged, nested too deeply or would fill the memory is rejected in time."""

import pytest
import yaml
from conftest import compose_config
from omegaconf import OmegaConf

from kindling import UserError
from kindling.cli.folders.load_yaml import _Sizes, load_yaml, reject_large
from kindling.cli.plain import to_dict

LEVELS = range(1, 12)  # of nine references each: 9^11 nodes


def written(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    return tmp_path / "config.yaml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [x, x]\n" + "".join(f"b{i}: [*a, *a]\n" for i in LEVELS), "it has YAML aliases"),
        ("x: " + "[" * 100_000 + "]" * 100_000, "it is nested too deeply"),
        ("a: [1", ""),
        ("a: 1\na: 2", ".*duplicate key"),
        ("a: ${", ""),
    ],
)
def test_a_file_that_cannot_be_a_config_is_rejected(text, message, tmp_path):
    with pytest.raises(UserError, match=rf"config\.yaml cannot be read \({message}"):
        load_yaml(written(tmp_path, text))


def test_a_star_in_a_text_is_no_alias(tmp_path):
    text = "lr_factors: {'*.bias': 0.1}\nnote: 'a *b'\n"
    assert load_yaml(written(tmp_path, text)) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text",
    [
        "q0: lol\n" + "".join(f"q{i}: '{f'${{q{i - 1}}}' * 9}'\n" for i in LEVELS),
        "q0: {a: 1}\n" + "".join(f"q{i}: {[f'${{q{i - 1}}}'] * 9}\n" for i in LEVELS),
        "q0: {a: 1}\n"
        + "".join(f"q{i}: {{a: '${{.b}}', b: ['${{q{i - 1}.a}}', '${{q{i - 1}}}']}}\n" for i in range(1, 40)),
        "q0: x\n" + "".join(f"q{i}: '${{or:${{q{i - 1}}},${{q{i - 1}}}}}'\n" for i in range(1, 40)),
        "a: ${b}\nb: ${a}\n",
        "a: {b: '${..a}'}\n",
        "q0: x\n" + "".join(f"q{i}: ${{q{i - 1}}}\n" for i in range(1, 3000)),
    ],
)
def test_interpolations_that_multiply_or_refer_to_themselves_are_rejected(text, tmp_path):
    raw = to_dict(OmegaConf.create(yaml.load(text, yaml.CSafeLoader)), resolve=False)
    with pytest.raises(UserError, match="refers to itself, or its interpolations stand for more than"):
        reject_large(raw, tmp_path)


def test_the_estimated_size_is_about_that_of_the_resolved_config():
    cfg = compose_config("data=mnist", "model=cnn", "folder=x")
    raw, resolved = (to_dict(cfg, resolve=resolve) for resolve in (False, True))
    assert _Sizes(resolved).of(()) <= _Sizes(raw).of(()) <= 2 * _Sizes(resolved).of(())
