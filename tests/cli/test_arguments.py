"""Arguments that are not of the form name=value, and values that Hydra's grammar does not take."""

import shlex

import pytest
from conftest import compose_config
from hydra.core.override_parser.overrides_parser import OverridesParser

from kindling import UserError
from kindling.cli import arguments, conf
from kindling.cli import suggestions as names
from kindling.cli.before_run import plain_errors
from kindling.cli.grammar import for_shell, grammar, quoted, several


@pytest.mark.parametrize(
    ("typed", "written"),
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
def test_the_sentence_ends_with_what_to_type(typed, written):
    with pytest.raises(UserError) as refused:
        arguments.check(typed)
    assert str(refused.value).removesuffix(".").endswith(written)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["mnist"], "Did you mean  data=mnist?"),
        (["deep", "seed=3"], "Did you mean  model=deep?"),
        (["--multirn", "seed=1,2"], "Did you mean --multirun?"),
        (["seed=1", ""], "One of the arguments is empty"),
        (["epochs="], "epochs= has no value"),
        (["~lr"], "~lr: a run needs lr"),
        (["~model"], "~model: a run needs model"),
        (["data.path=j\udce4.csv"], "is no text in this locale: set PYTHONUTF8=1"),
    ],
)
def test_what_cannot_be_meant_is_named(typed, message):
    with pytest.raises(UserError) as refused:
        arguments.check(typed)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "typed",
    [
        ["-m", "seed=0,1", "~logger", "+trainer.deterministic=true", "optimizer@model.optimizer=sgd"],
        ["--cfg", "job", "-p", "hydra.sweeper"],
        ["--info", "defaults", "lr=tag(log, interval(0.1, 1))", "data.path='a (b).csv'"],
        ["--config-dir=conf", "~callbacks.confusion", "hydra/launcher=basic", r"data.path=C:\x.csv"],
    ],
    ids=" ".join,
)
def test_what_hydra_takes_is_let_through(typed):
    arguments.check(typed)


@pytest.mark.parametrize(
    "override",
    ["data.target=price (EUR)", "data.path=sales (1).csv", "data.target=größe", "data.path=a&b;c.csv", "x=it's",
     r"data.path=C:\my (1)\x.csv", "data.path=~/x.csv", "x=a=b", "x=50% & $5", 'x=say "it"', "x=!a"],
)  # fmt: skip
def test_the_advised_quotes_make_the_value_that_was_typed(override):
    advice = grammar(override, multirun=False).partition("write  ")[2]
    (pasted,) = shlex.split(advice)
    assert OverridesParser.create().parse_override(pasted).value() == override.partition("=")[2]


@pytest.mark.parametrize(
    ("override", "multirun", "written"),
    [
        ("lr=[1", False, "lr=[1]"),
        ("hidden_sizes=[6,4,]", False, "hidden_sizes=[6,4]"),
        ("data.path='x", False, "data.path=x"),
        ("activation=relu,", True, "activation=relu"),
        ("data.drop=[größe,x]", False, "\"data.drop=['größe',x]\""),
        ("data.target=größe,preis", True, "\"data.target='größe',preis\""),
    ],
)
def test_lists_and_open_quotes_are_mended(override, multirun, written):
    assert grammar(override, multirun) == f"{override} cannot be read as it is: write  {written}"


def test_several_values_without_m_are_explained():
    said = several("activation=relu,tanh")
    assert "-m activation=relu,tanh" in said
    assert "activation=[relu,tanh]" in said
    assert "\"activation='relu,tanh'\"" in said


def test_a_text_in_hydra_s_quotes_is_that_text_again():
    for text in ("a", "it's", 'say "it"', """'both' "kinds\""""):
        (pasted,) = shlex.split(for_shell(f"x={quoted(text)}"))
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
def test_the_names_of_other_tools_get_ours(override, meant, capsys):
    with pytest.raises(SystemExit) as ended, plain_errors():
        compose_config(override)
    assert ended.value.code == 2
    assert f"{override.partition('=')[0]} is unknown. Did you mean {meant}?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data=my.csv", "data=my.csv is unknown: for a table of your own write  data=csv data.path=my.csv"),
        ("data=iris", "For a table of your own write data=csv data.path=..."),
        ("model=mlp", "model=mlp is unknown. Did you mean deep?"),
        ("optimizer=Adam", "optimizer=Adam is unknown. Did you mean adam?"),
        ("debug=true", "debug=true is unknown. Known: fast"),
        ("callbacks.x=3", "To add it, write +callbacks.x=..."),
        ("trainer.check_val_every_n_epoch=2", "To add it, write +trainer.check_val_every_n_epoch=..."),
        ("logger=null", "To leave it out write ~logger"),
        ("data.target=price (EUR)", "write  \"data.target='price (EUR)'\""),
        ("activation=relu,tanh", "put -m in front"),
        ("lr=range(1,3)", "put -m in front"),
    ],
)
def test_a_choice_that_is_not_there_gets_a_sentence(override, message, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", override])
    with pytest.raises(SystemExit) as ended, plain_errors():
        compose_config(override)
    said = capsys.readouterr().err
    assert (ended.value.code, message in said, said.count("\n")) == (2, True, 1), said


def test_every_other_name_leads_to_an_option_and_is_none_itself():
    known = conf.options()
    assert not set(names.OWN_NAME) & known - {"data", "model"}
    meant = {names.own_name(name) for name in names.OWN_NAME} - {None}  # None: of a part that is stripped
    assert {own.partition("=")[0].partition(".")[0] for own in meant} <= {*known, "hydra"}
    assert {"lr", "epochs", "data.path", "optimizer=momentum"} <= meant
