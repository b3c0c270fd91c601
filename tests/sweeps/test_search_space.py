"""Search spaces in Hydra's override syntax are converted to Optuna's distributions."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from kindling import UserError

optuna = pytest.importorskip("optuna")
from kindling.sweeps.search.space import distribution  # noqa: E402

Float, Int, Choice = (getattr(optuna.distributions, f"{k}Distribution") for k in ("Float", "Int", "Categorical"))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("lr=interval(0.1, 1)", Float(0.1, 1)),
        ("lr=interval(1, 8)", Float(1, 8)),
        ("lr=tag(log, interval(0.001, 1))", Float(0.001, 1, log=True)),
        ("width=int(interval(4, 32))", Int(4, 32)),
        ("width=tag(log, int(interval(4, 32)))", Int(4, 32, log=True)),
        ("depth=range(1, 5)", Int(1, 4)),
        ("depth=range(3)", Int(0, 2)),
        ("depth=range(1, 9, 3)", Int(1, 7, step=3)),
        ("depth=range(5, 1, -1)", Int(2, 5)),
        ("depth=tag(log, range(1, 100))", Int(1, 99, log=True)),
        ("dropout=range(0.1, 1, 0.1)", Float(0.1, 0.9, step=0.1)),
        ("activation=relu,tanh", Choice(["relu", "tanh"])),
        ("hidden_sizes=choice([6,4], [8])", Choice(["[6,4]", "[8]"])),
        ("init=null,'a b'", Choice(["null", "'a b'"])),
        ("+trainer.max_time=1,2", Choice(["1", "2"])),
    ],
)
def test_hydras_syntax_is_converted_to_optunas_distributions(override, expected):
    assert distribution(OverridesParser.create().parse_override(override)) == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("a=tag(huge, interval(1, 2))", r"a=tag\(huge, interval\(1, 2\)\) is not supported in a search: use interval"),
        ("a=tag(log, choice(1, 2))", "is not supported in a search"),
        ("a=shuffle(range(3))", "is not supported in a search"),
        ("a=tag(log, interval(0, 1))", "cannot be searched: `low > 0` must hold"),
        ("a=tag(log, range(1, 9, 2))", "cannot be searched: .* only accept step is 1"),
        ("a=interval(2, 1)", "cannot be searched: `low <= high` must hold"),
        ("a=range(5, 1)", "cannot be searched: it has no values"),
        ("monitor=val/loss,val/f1", "monitor must be the same for all trials"),
    ],
)
def test_sweeps_without_meaning_for_a_search_are_rejected(override, message):
    with pytest.raises(UserError, match=message):
        distribution(OverridesParser.create().parse_override(override))
