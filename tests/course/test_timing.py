"""Seconds per notebook: tables, the limit, and a test run that fails when a notebook is too slow."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pages
import pytest

from llmrl.course import seconds, stored, timing
from llmrl.course.seconds import Cell

CELLS = [Cell("a", 0, "x = 1", 0.25), Cell("b", 0, "train()", 3.0), Cell("a", 1, "y", 1.0)]


def test_the_longest_come_first():
    assert seconds.totals(CELLS)[1:] == [("b", "3.0", "1", "3.0", "train()"), ("a", "1.2", "2", "1.0", "y")]
    assert [row[3] for row in seconds.slowest(CELLS, 2)[1:]] == ["train()", "y"]


def test_columns_are_straight():
    lines = list(seconds.aligned([("name", "seconds"), ("a", "3.0"), ("longer", "12.5")]))
    assert lines == ["name    seconds", "a           3.0", "longer     12.5"]


def test_the_first_line_says_something():
    assert seconds.first_line("\n# a comment\n\n  x = 1\ny = 2") == "x = 1"
    assert seconds.first_line("") == "" and len(seconds.first_line("x" * 200)) == 60


def test_the_limit_stretches(monkeypatch):
    monkeypatch.delenv("LLMRL_TIME_FACTOR", raising=False)
    assert seconds.limit() == 90
    monkeypatch.setenv("LLMRL_TIME_FACTOR", "1.5")
    assert seconds.limit() == 135


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "nan", "inf"])
def test_a_senseless_factor_is_refused(monkeypatch, text):
    monkeypatch.setenv("LLMRL_TIME_FACTOR", text)
    with pytest.raises(ValueError, match="LLMRL_TIME_FACTOR must be a number above 0"):
        seconds.limit()


def report(path, place, duration, when="call"):
    return SimpleNamespace(
        nodeid=f"{path}::Cell {place}", when=when, duration=duration, user_properties=[("line", "train()")],
        outcome="passed", failed=False, longrepr=None, longreprtext="",
    )  # fmt: skip


def judged(collected, *reports):
    for one in reports:
        next(collected.pytest_runtest_logreport(one))
    return [one.outcome for one in reports]


def test_only_the_cell_that_passes_the_limit_fails_and_only_cells_of_its_notebook_count():
    collected = timing.Seconds(limit=10)
    other = report("b.ipynb", 0, 9.0)
    mine = [report("a.ipynb", place, 4.0) for place in range(5)]
    assert judged(collected, mine[0], other, *mine[1:]) == ["passed", "passed", "passed", "failed", "passed", "passed"]
    assert "a.ipynb has taken 12 s up to this cell; a notebook may take 10 s" in mine[2].longrepr
    assert collected.cells[0] == Cell("a.ipynb", 0, "train()", 4.0)


def test_starting_a_kernel_and_unit_tests_do_not_count():
    collected = timing.Seconds(limit=10)
    unit = report("tests/test_a.py", 0, 99.0)
    unit.nodeid = "tests/test_a.py::test_b"
    assert judged(collected, report("a.ipynb", 0, 99.0, when="setup"), unit) == ["passed", "passed"]
    assert collected.cells == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-n", "2", "--dist", "loadfile")], ids=["one process", "two workers"])
def test_slow_and_wrong_notebooks_fail_a_run_and_the_table_names_every_notebook(tmp_path, options):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    show, nap = pages.code("print(1)", pages.said("1\n")), pages.code("import time; time.sleep(4)")
    stored.write(pages.notebook(show, nap, show), tmp_path / "slow.ipynb")
    stored.write(pages.notebook(show, show), tmp_path / "quick.ipynb")
    other = pages.code("print(1)", pages.said("2\n"))
    stored.write(pages.notebook(other, pages.code("1 / 0")), tmp_path / "wrong.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-p", "llmrl.course.timing"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, env=os.environ | {"LLMRL_TIME_FACTOR": str(3 / 90)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"slow.ipynb has taken \d+ s up to this cell; a notebook may take 3 s", done.stdout)
    assert re.search(r"slow.ipynb +\d+\.\d +3 +\d+\.\d  import time; time.sleep\(4\)", done.stdout)
    assert re.search(r"quick.ipynb +[0-2]\.\d +2 ", done.stdout) and re.search(
        r"wrong.ipynb +[0-2]\.\d +2 ", done.stdout
    )
    assert re.search(r"\d+\.\d  slow.ipynb +1  import time", done.stdout.split("slowest cells")[1])
    assert "3 failed, 4 passed" in done.stdout.splitlines()[-1]
