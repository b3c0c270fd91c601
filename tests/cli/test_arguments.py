"""Arguments that are not of the form name=value, and values that Hydra's grammar does not accept."""

import shlex

import pytest
from conftest import compose_config
from hydra.core.override_parser.overrides_parser import OverridesParser

from kindling import UserError
from kindling.cli import arguments, conf, suggestions
from kindling.cli.before_run import plain_errors
from kindling.cli.grammar import explain_multiple_values, explain_parse_error, for_shell, quote


@pytest.mark.parametrize(
    ("args", "suggestion"),
    [
        (["--epochs", "10"], "epochs=10"),
        (["--epochs=10"], "epochs=10"),
        (["-lr", "0.1"], "lr=0.1"),
        (["--learning-rate", "0.1"], "lr=0.1"),
        (["epochs", "10"], "epochs=10"),
        (["lr", "-0.1"], "lr=-0.1"),
        (["epochs", "=", "10"], "epochs=10"),
        (["epochs", "=10"], "epochs=10"),
        (["epochs=", "10"], "epochs=10"),
        (["epochs = 10"], "epochs=10"),
        (["lr:0.1"], "lr=0.1"),
        (["lr:", "0.1"], "lr=0.1"),
        (["[6,", "4]"], "hidden_sizes=[6,4]"),
        (["[6, 4]"], "hidden_sizes=[6,4]"),
        (["hidden_sizes=[6,", "4]"], "hidden_sizes=[6,4]"),
        (["hidden_sizes", "[6,", "4]", "seed=1"], "hidden_sizes=[6,4]"),
        (["-m", "activation=relu,", "tanh"], "activation=relu,tanh"),
        (["my.csv"], "data=csv data.path=my.csv"),
        (["sales (1).csv"], "data=csv \"data.path='sales (1).csv'\""),
        (["=5"], "epochs=5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_message_ends_with_what_to_write(args, suggestion):
    with pytest.raises(UserError) as rejected:
        arguments.check(args)
    assert str(rejected.value).removesuffix(".").endswith(suggestion)
    assert "\n" not in str(rejected.value)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["mnist"], "Did you mean  data=mnist?"),
        (["deep", "seed=3"], "Did you mean  model=deep?"),
        (["--multirn", "seed=1,2"], "Did you mean --multirun?"),
        (["seed=1", ""], "One of the arguments is empty"),
        (["epochs="], "epochs= has no value"),
        (["~lr"], "~lr: a run needs lr"),
        (["~model"], "~model: a run needs model"),
        (["data.path=j\udce4.csv"], "cannot be decoded in this locale: set PYTHONUTF8=1"),
    ],
)
def test_an_invalid_argument_is_named(args, message):
    with pytest.raises(UserError) as rejected:
        arguments.check(args)
    assert message in str(rejected.value)


@pytest.mark.parametrize(
    "args",
    [
        ["-m", "seed=0,1", "~logger", "+trainer.deterministic=true", "optimizer@model.optimizer=sgd"],
        ["--cfg", "job", "-p", "hydra.sweeper"],
        ["--info", "defaults", "lr=tag(log, interval(0.1, 1))", "data.path='a (b).csv'"],
        ["--config-dir=conf", "~callbacks.confusion", "hydra/launcher=basic", r"data.path=C:\x.csv"],
    ],
    ids=" ".join,
)
def test_arguments_that_hydra_accepts_pass(args):
    arguments.check(args)


@pytest.mark.parametrize(
    "override",
    ["data.target=price (EUR)", "data.path=sales (1).csv", "data.target=größe", "data.path=a&b;c.csv", "x=it's",
     r"data.path=C:\my (1)\x.csv", "data.path=~/x.csv", "x=a=b", "x=50% & $5", 'x=say "it"', "x=!a"],
)  # fmt: skip
def test_the_suggested_quoting_gives_the_original_value(override):
    advice = explain_parse_error(override, multirun=False).partition("write  ")[2]
    (pasted,) = shlex.split(advice)
    assert OverridesParser.create().parse_override(pasted).value() == override.partition("=")[2]


@pytest.mark.parametrize(
    ("override", "multirun", "suggestion"),
    [
        ("lr=[1", False, "lr=[1]"),
        ("hidden_sizes=[6,4,]", False, "hidden_sizes=[6,4]"),
        ("data.path='x", False, "data.path=x"),
        ("activation=relu,", True, "activation=relu"),
        ("data.drop=[größe,x]", False, "\"data.drop=['größe',x]\""),
        ("data.target=größe,preis", True, "\"data.target='größe',preis\""),
    ],
)
def test_unclosed_lists_and_quotes_get_a_correction(override, multirun, suggestion):
    assert explain_parse_error(override, multirun) == f"{override} cannot be parsed: write  {suggestion}"


def test_several_values_without_m_are_explained():
    message = explain_multiple_values("activation=relu,tanh")
    assert "-m activation=relu,tanh" in message
    assert "activation=[relu,tanh]" in message
    assert "\"activation='relu,tanh'\"" in message


def test_a_quoted_string_is_parsed_as_the_same_string():
    for text in ("a", "it's", 'say "it"', """'both' "kinds\""""):
        (pasted,) = shlex.split(for_shell(f"x={quote(text)}"))
        assert OverridesParser.create().parse_override(pasted).value() == text


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("learning_rate=0.1", "lr"), ("bs=3", "batch_size"), ("batch=3", "batch_size"), ("n_epochs=3", "epochs"),
        ("max_epochs=3", "epochs"), ("num_epochs=3", "epochs"), ("wd=0", "weight_decay"),
        ("hidden=[3]", "hidden_sizes"),
        ("layers=3", "depth"), ("n_layers=3", "depth"), ("opt=adam", "optimizer"), ("act=relu", "activation"),
        ("dataset=mnist", "data"), ("net=cnn", "model"), ("Learning_Rate=1", "lr"), ("random_state=1", "seed"),
        ("val_share=0.2", "data.val_share"), ("test_size=0.1", "data.test_share"), ("target=y", "data.target"),
        ("model.learning_rate=1", "lr"), ("optimizer.learning_rate=1", "lr"), ("data.bs=3", "batch_size"),
        ("trainer.n_epochs=3", "max_epochs"), ("trainer.epochs=3", "max_epochs"),
    ],
)  # fmt: skip
def test_the_names_of_other_tools_get_the_name_used_here(override, meant, capsys):
    with pytest.raises(SystemExit) as ended, plain_errors():
        compose_config(override)
    assert ended.value.code == 2
    assert f"{override.partition('=')[0]} is unknown. Did you mean {meant}?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data=my.csv", "data=my.csv is unknown: for your own table, write  data=csv data.path=my.csv"),
        ("data=iris", "For your own table, write data=csv data.path=..."),
        ("model=mlp", "model=mlp is unknown. Did you mean deep?"),
        ("optimizer=Adam", "optimizer=Adam is unknown. Did you mean adam?"),
        ("debug=true", "debug=true is unknown. Known: fast"),
        ("callbacks.x=3", "To add it, write +callbacks.x=..."),
        ("trainer.check_val_every_n_epoch=2", "To add it, write +trainer.check_val_every_n_epoch=..."),
        ("logger=null", "To omit it, write ~logger"),
        ("data.target=price (EUR)", "write  \"data.target='price (EUR)'\""),
        ("activation=relu,tanh", "put -m in front"),
        ("lr=range(1,3)", "put -m in front"),
    ],
)
def test_an_unknown_name_or_value_gets_a_one_line_message(override, message, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", override])
    with pytest.raises(SystemExit) as ended, plain_errors():
        compose_config(override)
    printed = capsys.readouterr().err
    assert (ended.value.code, message in printed, printed.count("\n")) == (2, True, 1), printed


def test_every_synonym_maps_to_an_option_and_is_not_an_option_itself():
    known = conf.options()
    synonyms = set(suggestions.CANONICAL_NAMES)
    assert not synonyms & known - {"data", "model"}
    found = {suggestions.canonical_name(name) for name in synonyms} - {None}  # None: its part is stripped
    assert {name.partition("=")[0].partition(".")[0] for name in found} <= {*known, "hydra"}
    assert {"lr", "epochs", "data.path", "optimizer=momentum"} <= found
