"""What a run of the course says afterwards: a table on the screen and the same in build/report.md.

Left out: history. The report tells about one run; version control remembers the others.
"""

import os
import platform
import time
from pathlib import Path

from llmrl.course import sections
from llmrl.course.seconds import aligned, limit, slowest
from llmrl.storage import write_whole

HEAD = ("notebook", "seconds", "cells", "slowest", "figures", "checks", "outcome")


def rows(results):
    """One row for each notebook, under the names of the columns."""
    table = [HEAD]
    for result in results:
        worst = max((cell.seconds for cell in result.cells), default=0.0)
        figures, checks = result.count(sections.pictures), result.count(sections.claims)
        outcome = "failed" if result.problems else "slow" if result.seconds > limit() else "passed"
        numbers = (f"{result.seconds:.1f}", str(len(result.cells)), f"{worst:.1f}", str(figures), str(checks))
        table.append((result.name, *numbers, outcome))
    return table


def problems(results):
    """What to repair, notebook by notebook."""
    for result in results:
        for problem in result.problems:
            yield f"{result.name}, {problem}"
        if result.seconds > limit():
            yield f"{result.name} took {result.seconds:.0f} s, a notebook may take {limit():.0f} s: make it smaller"


def machine():
    """The machine and the settings the run was made with, in one line."""
    settings = [f"{key}={value}" for key, value in sorted(os.environ.items()) if key.startswith("LLMRL_")]
    return ", ".join([f"Python {platform.python_version()}", platform.machine(), f"{os.cpu_count()} cores", *settings])


def screen(results):
    """The report as lines of text."""
    yield from aligned(rows(results))
    for problem in problems(results):
        yield ""
        yield problem


def markdown(results):
    """The report as a page."""
    cells = [cell for result in results for cell in result.cells]
    parts = [f"# The course, run {time.strftime('%Y-%m-%d %H:%M')}", machine(), _table(rows(results))]
    found = list(problems(results))
    parts += ["## Problems", *(f"```\n{problem}\n```" for problem in found)] if found else ["No problems."]
    parts += ["## Slowest cells", _table(slowest(cells))]
    return "\n\n".join(parts) + "\n"


def _table(rows):
    escaped = [[text.replace("|", "\\|") for text in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def store(results, root):
    """Write build/report.md below the course's folder."""
    return write_whole(Path(root) / "build" / "report.md", markdown(results))
