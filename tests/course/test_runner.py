"""Running notebooks: outputs are refreshed whole, failures are named and their files left as they were."""

import asyncio
import os
import re
import sys

import pages
import pytest

from llmrl.course import execution, places, report, runner, stored
from llmrl.course.seconds import Cell


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course folder of its own; returns a function that adds a notebook to it."""
    monkeypatch.setattr(places, "folder", lambda: tmp_path)

    def add(name, *cells):
        notebook = pages.notebook(*cells)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        stored.write(notebook, path)
        return path

    return add


DRAW = f"""
from IPython.display import display
data, said = {{"image/png": "{pages.PIXEL}", "text/plain": "<Figure>"}}, {{"alt": "One grey pixel, no more."}}
display(data, raw=True, metadata={{"image/png": said}})
"""


def test_outputs_are_refreshed_in_place_and_twice_the_same(course, tmp_path, capsys):
    count = pages.code("for i in range(3):\n    print(i)\nx")
    path = course("01_a/01_b", pages.words(), pages.code("x = 1"), count, pages.code(DRAW), pages.code("print('fine')"))
    assert execution.run() == 0
    cells = [cell for _, cell in stored.code_cells(stored.read(path))]
    assert [cell["execution_count"] for cell in cells] == [1, 2, 3, 4]
    assert cells[1]["outputs"][0]["text"] == "0\n1\n2\n" and cells[1]["outputs"][1]["data"]["text/plain"] == "1"
    assert cells[2]["outputs"][0]["metadata"]["image/png"]["alt"] == "One grey pixel, no more."
    first = path.read_bytes()
    assert b"timestamp" not in first and b"iopub" not in first and b"version" not in first
    assert execution.run(["01_b"], jobs=2) == 0 and path.read_bytes() == first
    said = capsys.readouterr().out
    assert re.search(r"01_a/01_b +\d+\.\d +4 +\d+\.\d +1 +0 +passed", said)
    assert "| 01_a/01_b |" in (tmp_path / "build" / "report.md").read_text()


def test_a_notebook_runs_in_its_own_folder_with_this_python(course):
    path = course("01_a/01_b", pages.code("import os, sys; print(os.path.basename(os.getcwd()), sys.executable)"))
    result = asyncio.run(runner.run_one(path))
    assert result.notebook["cells"][0]["outputs"][0]["text"] == f"01_a {sys.executable}\n"


def test_a_failure_is_named_and_its_file_left_as_it_was(course, capsys):
    good = course("01_a/01_good", pages.code("print('new')"))
    bad = course("01_a/02_bad", pages.words(), pages.code("x = 1"), pages.code("print(x)\nx / 0"), pages.code("x"))
    loud = course("01_a/03_loud", pages.code("import sys; print('careful', file=sys.stderr)"))
    before = bad.read_bytes(), loud.read_bytes()
    assert execution.run(jobs=2) == 1
    assert (bad.read_bytes(), loud.read_bytes()) == before
    assert stored.read(good)["cells"][0]["outputs"][0]["text"] == "new\n"
    said = capsys.readouterr().out
    assert "01_a/02_bad, cell 2 failed: ZeroDivisionError: division by zero\n    print(x)\n    x / 0" in said
    assert "01_a/03_loud, cell 0: printed to stderr: careful" in said
    assert not re.search(r"01_good .*failed", said)


@pytest.mark.slow
def test_a_kernel_that_dies_and_a_cell_that_hangs_are_failures(course):
    dead = course("01_a/01_dead", pages.code("import os; os.write(2, b'out of luck\\n'); os._exit(1)"))
    hangs = course("01_a/02_hangs", pages.code("x = 1"), pages.code("import time; time.sleep(60)"))
    first, second = asyncio.run(runner.run_all([dead, hangs], jobs=2, timeout=6))
    assert "cell 0 failed: the kernel stopped\n    > out of luck\n    import os" in first.problems[0]
    assert "cell 1 failed: took longer" in second.problems[0] and len(second.cells) == 1


def test_an_error_shown_on_purpose_is_stored(course):
    path = course("01_a/01_b", pages.code("1 / 0", tags=["raises-exception"]), pages.code("print('after')"))
    assert execution.run() == 0
    assert stored.read(path)["cells"][0]["outputs"][0]["ename"] == "ZeroDivisionError"


def test_a_file_that_is_no_notebook_does_not_stop_the_others(course, tmp_path, capsys):
    good = course("01_a/01_good", pages.code("print('new')"))
    (tmp_path / "notebooks" / "01_a" / "02_broken.ipynb").write_text("{")
    assert execution.run() == 1
    assert "02_broken.ipynb is not a notebook" in capsys.readouterr().out
    assert stored.read(good)["cells"][0]["outputs"]


def test_check_writes_nothing_and_says_what_differs(course, capsys):
    path = course(
        "01_a/01_b",
        pages.code("import os; os.environ.get('LLMRL_TEST_WORD', 'one')"),
        pages.code("os.getpid()", tags=["nbval-ignore-output"]),
    )
    assert execution.run() == 0
    before = path.read_bytes()
    assert execution.run(check=True) == 0 and path.read_bytes() == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMRL_TEST_WORD", "two")
        assert execution.run(check=True) == 1
    assert path.read_bytes() == before
    assert "cell 0: its output is not the stored one" in capsys.readouterr().out


def test_a_slow_notebook_is_a_problem_but_is_stored(course, monkeypatch, capsys):
    path = course("01_a/01_b", pages.code("import time; time.sleep(0.5); print('done')"))
    monkeypatch.setenv("LLMRL_TIME_FACTOR", "0.001")
    assert execution.run() == 1
    assert "a notebook may take" in capsys.readouterr().out
    assert stored.read(path)["cells"][0]["outputs"]


def test_running_leaves_the_readers_progress_alone(course, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMRL_HOME", str(tmp_path / "mine"))
    path = course("01_a/01_b", pages.code("import os; os.environ['LLMRL_HOME'].endswith('mine')"))
    assert execution.run() == 0 and os.environ["LLMRL_HOME"] == str(tmp_path / "mine")
    assert stored.read(path)["cells"][0]["outputs"][0]["data"]["text/plain"] == "False"


def test_patterns_choose_notebooks(course):
    paths = [course(name, pages.code("1")) for name in ("00_start", "01_a/01_b", "01_a/02_c", "02_d/01_b")]
    chosen = lambda *patterns: [places.name(path) for path in execution.choose(patterns, paths)]  # noqa: E731
    assert chosen() == [places.name(path) for path in paths]
    assert chosen("01_b") == ["01_a/01_b", "02_d/01_b"]
    assert chosen("01_a/*", "02_c") == ["01_a/01_b", "01_a/02_c"]
    assert chosen("notebooks/01_a/02_c.ipynb") == ["01_a/02_c"]
    with pytest.raises(ValueError, match="no notebook's name holds or matches 'nope'. The notebooks: 00_start, 01_a"):
        chosen("01_b", "nope")


def test_editors_own_copies_are_no_notebooks(course, tmp_path):
    path = course("01_a/01_b", pages.code("1"))
    course("01_a/.ipynb_checkpoints/01_b-checkpoint", pages.code("1"))
    assert places.notebooks() == [path]


def test_the_report_keeps_its_columns_when_a_cell_holds_a_bar():
    result = runner.Result("a", [Cell("a", 0, "x | y", 1.0)])
    assert "x \\| y" in report.markdown([result])
