"""The confusion matrix as text, Markdown and figure; rows are true classes, columns are predicted classes."""

from typing import TYPE_CHECKING

from kindling.plots.style import markdown_table, plain, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def text(counts: list[list[int]], names: list[str]) -> str:
    """Format the counts as a table for the console."""
    names = [shortened(" ".join(name.split()), 24) for name in names]
    width = max(len(str(cell)) for cell in [*names, *(n for row in counts for n in row)]) + 2
    left = max(len(name) for name in names)
    rows = [" " * left + "".join(name.rjust(width) for name in names)]
    rows += [
        name.ljust(left) + "".join(str(n).rjust(width) for n in row) for name, row in zip(names, counts, strict=True)
    ]
    return "confusion matrix of the test samples (rows: true, columns: predicted)\n  " + "\n  ".join(rows)


def markdown(counts: list[list[int]], names: list[str]) -> str:
    """Format the counts as a table for TensorBoard's Text tab."""
    return markdown_table([["true / predicted", *names], *([n, *row] for n, row in zip(names, counts, strict=True))])


def draw(counts: list[list[int]], names: list[str], title: str) -> "Figure":
    """Draw the counts, coloured by their share of the row."""
    from matplotlib.figure import Figure  # takes 0.5 s to import, so not before training

    names = [plain(name, 30) for name in names]
    # Explicit positions in inches, because matplotlib's layout engines would take a third of the time.
    cell, label = (1.4 if len(names) < 4 else 0.65), 0.09 * max(map(len, names))
    side, left, bottom, top = cell * len(names), 0.6 + label, (0.75 if label < 0.8 * cell else 0.75 + label), 0.55
    width, height = side + left + 0.15, side + bottom + top
    figure = Figure(figsize=(width, height), dpi=100)
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    shares = [[n / max(1, sum(row)) for n in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(counts):
        for j, n in enumerate(row):
            colour = "white" if shares[i][j] > 0.5 else "black"
            axes.text(j, i, f"{n}\n{shares[i][j]:.0%}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=0 if label < 0.8 * cell else 90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class\n(count, and share of the true class)", ylabel="true class")
    axes.set_title(f"Confusion matrix\n{title}", fontsize=11)
    return figure
