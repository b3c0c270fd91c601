"""User text in figures and tables is shown literally, and errors in optional parts do not end a run."""

import logging

import pytest
from matplotlib.figure import Figure

from kindling import UserError
from kindling.plots.save import png
from kindling.plots.style import markdown_table, plain
from kindling.training.tolerate import optional

NAMES = ["under $10", "$10_$20", r"a\$b$", "{a^b}", r"$\frac{", "_hidden", "ä|b"]


@pytest.mark.parametrize("name", NAMES)
def test_matplotlib_draws_a_name_literally(name):
    text = Figure().text(0, 0, plain(name))
    shown, is_formula = text._preprocess_math(text.get_text())
    assert (shown.strip(), is_formula) == (name, False)


def test_every_name_has_an_entry_in_a_legend():
    axes = Figure().add_subplot()
    for name in NAMES:
        axes.plot([0, 1], label=plain(name))
    assert len(axes.legend().get_texts()) == len(NAMES)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines\tof", "two lines of"),
        ("", "(empty)"),
        ("\N{CJK UNIFIED IDEOGRAPH-732B} cat", r"\u732b cat"),
        ("bell\a", r"bell\x07"),
        ("x" * 100 + "y", "x" * 19 + "…" + "x" * 19 + "y"),
    ],
)
def test_a_name_is_on_one_line_and_uses_only_characters_of_the_font(name, shown):
    assert plain(name) == shown
    figure = Figure()
    figure.text(0.1, 0.5, plain(name))
    png(figure)  # a warning about a missing glyph is an error in tests


def test_a_markdown_table_keeps_its_columns_with_any_text_in_its_cells():
    head, rule, row = markdown_table([["a|b", "c"], ["<b>\n`x`", "_y_ **z** my_name"]]).splitlines()
    assert (head, rule) == (r"| a\|b | c |", "| --- | --- |")
    assert row == r"| &lt;b> \`x\` | \_y\_ \*\*z\*\* my_name |"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("no\nname"), "a picture: skipped, KeyError: 'no\\nname'"),
        (UserError("no x"), "a picture: skipped, no x"),
    ],
)
def test_an_error_in_an_optional_part_is_one_warning(caplog, error, message):
    with optional("a picture"):
        raise error
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [message]


def test_an_interruption_is_not_suppressed():
    with pytest.raises(KeyboardInterrupt), optional("a picture"):
        raise KeyboardInterrupt
