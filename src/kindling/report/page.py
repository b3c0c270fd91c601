"""HTML that needs nothing besides itself."""

import base64
from html import escape
from pathlib import Path

LOOK = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0 }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap }
th:first-child, td:first-child { text-align: left } tr:first-child { background: #f5f5f5 }
pre { background: #f5f5f5; padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; max-width: 100% }
figcaption { color: #555; max-width: 28rem } img { max-width: 100% }
"""


def page(title: str, *parts: str) -> str:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(part for part in (f"<h1>{escape(title)}</h1>", *parts) if part)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{LOOK}</style></head>\n<body>\n{body}\n</body></html>\n'
    )


def section(heading: str, *parts: str) -> str:
    """Nothing without parts."""
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
    """The first row is the header."""
    kinds = ["th", *["td"] * (len(rows) - 1)]
    html = ["".join(f"<{k}>{escape(cell)}</{k}>" for cell in row) for k, row in zip(kinds, rows, strict=True)]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in html) + "</table>"


def image(png: Path | bytes, caption: str) -> str:
    data = base64.b64encode(png if isinstance(png, bytes) else png.read_bytes()).decode()
    described = escape(caption, quote=True)
    source = f'src="data:image/png;base64,{data}"'
    return f'<figure><img {source} alt="{described}"><figcaption>{escape(caption)}</figcaption></figure>'
