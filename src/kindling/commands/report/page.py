"""Self-contained HTML."""

import base64
from html import escape
from pathlib import Path

from kindling.cli.folders.damaged import Damaged
from kindling.plots.save import is_png

LONG = 18  # characters; longer table cells are wrapped
LOOK = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
p, li, h1, figcaption { overflow-wrap: anywhere }
table { border-collapse: collapse; display: block; max-width: 100%; overflow-x: auto; margin: 1rem 0; font-size: .87em;
  background: linear-gradient(to left, #fff 1.5rem, #fff0) right / 3rem 100% no-repeat local,
    linear-gradient(to left, #0004, #0000) right / .8rem 100% no-repeat scroll }  /* a shadow marks hidden columns */
th, td { padding: .2rem .5rem; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap }
.long { white-space: normal; overflow-wrap: anywhere; min-width: 7rem }
th:first-child, td:first-child { text-align: left } tr:first-child { border-bottom: 2px solid #ccc }
pre { background: #f5f5f5; padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; max-width: 100%; overflow-x: auto }
figcaption { color: #555; max-width: 28rem } img { max-width: max(100%, 42rem) }
"""


def page(title: str, *parts: str) -> str:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(part for part in (f"<h1>{escape(title)}</h1>", *parts) if part)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{LOOK}</style></head>\n<body>\n{body}\n</body></html>\n'
    )


def section(heading: str, *parts: str) -> str:
    """Return a section, or "" if all parts are empty."""
    parts = tuple(part for part in parts if part)
    return "\n".join([f"<h2>{escape(heading)}</h2>", *parts]) if parts else ""


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def lines(sentences: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>" if sentences else ""


def code(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def folded(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def table(rows: list[list[str]]) -> str:
    """Return a table whose first row is the header; it scrolls if it is wider than the page."""
    kinds = ["th", *["td"] * (len(rows) - 1)]
    html = ["".join(_cell(kind, cell) for cell in row) for kind, row in zip(kinds, rows, strict=True)]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in html) + "</table>"


def _cell(kind: str, text: str) -> str:
    """Return a table cell, which is wrapped if it is long."""
    wraps = ' class="long"' if len(text) > LONG else ""
    return f"<{kind}{wraps}>{escape(text)}</{kind}>"


def image(png: Path | bytes, caption: str) -> str:
    """Return a picture with its caption.

    Raises:
        Damaged: the file is not a complete PNG.
    """
    if isinstance(png, Path) and not is_png(png):
        raise Damaged(png, "it is not a complete PNG")
    data = base64.b64encode(png if isinstance(png, bytes) else png.read_bytes()).decode()
    described = escape(caption, quote=True)
    source = f'src="data:image/png;base64,{data}"'
    return f'<figure><img {source} alt="{described}"><figcaption>{escape(caption)}</figcaption></figure>'
