"""How long notebooks and cells took, as tables, and how long a notebook may take.

A notebook may take 90 seconds on one core. LLMRL_TIME_FACTOR stretches that for a slow or busy machine.
Left out: memory. A notebook that needs too much of it fails by itself.
"""

import os
from dataclasses import dataclass

LIMIT = 90.0


@dataclass(frozen=True)
class Cell:
    """One executed cell: its notebook, its place among the code cells, its first line and its seconds."""

    notebook: str
    place: int
    line: str
    seconds: float


def limit():
    """The seconds a notebook may take here: 90 times LLMRL_TIME_FACTOR, 1 when unset."""
    text = os.environ.get("LLMRL_TIME_FACTOR", "1")
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise ValueError(f"LLMRL_TIME_FACTOR must be a number above 0, got {text!r}: 2 gives a notebook twice the time")
    return LIMIT * factor


def first_line(source):
    """The first line of a cell that says something, cut to fit a table."""
    lines = [line.strip() for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return (lines or [""])[0][:60]


def by_notebook(cells):
    """(notebook, its cells) in the order they first ran."""
    found = {}
    for cell in cells:
        found.setdefault(cell.notebook, []).append(cell)
    return list(found.items())


def totals(cells):
    """Rows for a table: each notebook with its seconds, the longest first."""
    rows = []
    for name, own in sorted(by_notebook(cells), key=lambda pair: -sum(c.seconds for c in pair[1])):
        worst = max(own, key=lambda cell: cell.seconds)
        total = sum(cell.seconds for cell in own)
        rows.append((name, f"{total:.1f}", str(len(own)), f"{worst.seconds:.1f}", worst.line))
    return [("notebook", "seconds", "cells", "slowest", "which"), *rows]


def slowest(cells, count=10):
    """Rows for a table: the cells that took longest."""
    worst = sorted(cells, key=lambda cell: -cell.seconds)[:count]
    rows = [(f"{cell.seconds:.1f}", cell.notebook, str(cell.place), cell.line) for cell in worst]
    return [("seconds", "notebook", "cell", "which"), *rows]


def aligned(rows):
    """Rows of strings as lines of text with straight columns; numbers lean right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(_fit(text, width) for text, width in zip(row, widths)).rstrip()


def _fit(text, width):
    number = text.replace(".", "", 1).isdigit()
    return text.rjust(width) if number else text.ljust(width)
