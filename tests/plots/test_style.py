"""Users' text in pictures and tables is shown as it is, and what a run can do without ends nothing."""

import logging

import pytest
from matplotlib.figure import Figure

from kindling import UserError
from kindling.plots.save import png
from kindling.plots.style import markdown_table, plain
from kindling.training.tolerate import optional

NAMES = ["under $10", "$10_$20", r"a\$b$", "{a^b}", r"$\frac{", "_hidden", "ä|b"]


@pytest.mark.parametrize("name", NAMES)
def test_matplotlib_draws_a_name_as_it_is_and_as_no_formula(name):
    text = Figure().text(0, 0, plain(name))
    shown, is_formula = text._preprocess_math(text.get_text())
    assert (shown.strip(), is_formula) == (name, False)


def test_every_name_has_its_entry_in_a_legend():
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
def test_a_name_is_on_one_line_and_in_letters_that_the_font_has(name, shown):
    assert plain(name) == shown
    figure = Figure()
    figure.text(0.1, 0.5, plain(name))
    png(figure)  # a warning of a missing glyph would be an error here


def test_a_table_in_markdown_keeps_its_columns_whatever_is_in_its_cells():
    head, rule, row = markdown_table([["a|b", "c"], ["<b>\n`x`", "_y_ **z** my_name"]]).splitlines()
    assert (head, rule) == (r"| a\|b | c |", "| --- | --- |")
    assert row == r"| &lt;b> \`x\` | \_y\_ \*\*z\*\* my_name |"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("no\nname"), "a picture: skipped, KeyError: 'no\\nname'"),
        (UserError("no x"), "a picture: skipped, no x"),
    ],
)
def test_what_is_optional_fails_in_one_line(caplog, error, said):
    with optional("a picture"):
        raise error
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [said]


def test_an_interruption_is_not_optional():
    with pytest.raises(KeyboardInterrupt), optional("a picture"):
        raise KeyboardInterrupt
