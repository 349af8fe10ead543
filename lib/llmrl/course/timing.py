"""A pytest plugin that adds up the seconds of every notebook and fails one that takes too long.

`pytest -p llmrl.course.timing --nbval ...` ends with a table of seconds per notebook and the slowest cells. Cells
report from whichever worker ran them; the first cell past the limit is the one that fails.
Left out: unit tests. pytest's own --durations tells about those.
"""

import pytest

from llmrl.course.seconds import Cell, aligned, by_notebook, first_line, limit, slowest, totals


def pytest_configure(config):
    """Collect where the reports arrive: in the one process, or in the one that directs the workers."""
    if getattr(config.option, "nbval_cell_timeout", None) == 2000:  # nbval's own default, far too patient
        config.option.nbval_cell_timeout = 2 * limit()
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Seconds(limit()), "llmrl-seconds")


def pytest_collection_modifyitems(items):
    """Let every notebook cell carry its first line along with its report."""
    for item in items:
        if hasattr(item, "cell"):
            item.user_properties.append(("line", first_line(item.cell.source)))


class Seconds:
    """The cells that ran so far, and the limit each notebook has."""

    def __init__(self, limit):
        self.limit, self.cells, self.late = limit, [], set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report):
        path, _, cell = report.nodeid.partition("::Cell ")
        if report.when == "call" and cell and path.endswith(".ipynb"):
            line = dict(report.user_properties).get("line", "")
            self.cells.append(Cell(path, int(cell), line, report.duration))
            self._judge(path, report)
        return (yield)

    def _judge(self, path, report):
        took = sum(cell.seconds for cell in dict(by_notebook(self.cells))[path])
        if took > self.limit and path not in self.late:
            self.late.add(path)
            said = f"{report.longreprtext}\n" if report.failed else ""
            report.outcome, report.longrepr = "failed", said + (
                f"{path} has taken {took:.0f} s up to this cell; a notebook may take {self.limit:.0f} s. "
                f"Make it smaller, or set LLMRL_TIME_FACTOR=2 on a slow machine."
            )

    def pytest_terminal_summary(self, terminalreporter):
        if self.cells:
            terminalreporter.section(f"seconds per notebook (limit {self.limit:.0f})")
            terminalreporter.write_line("\n".join(aligned(totals(self.cells))))
            terminalreporter.section("slowest cells")
            terminalreporter.write_line("\n".join(aligned(slowest(self.cells))))
