"""The first cell is put where it belongs, replaced when it is old, and left alone when it is right."""

import pages
import pytest

from llmrl.course import places, rules, stored
from llmrl.course.stamp import stamp
from llmrl.lesson import first_cell

NAME = "01_llm_basics/01_text_to_tokens"


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "folder", lambda: tmp_path)
    return tmp_path / "notebooks" / f"{NAME}.ipynb"


@pytest.mark.parametrize(
    "cells",
    [
        [pages.words("# Title"), pages.code("x = 1")],
        [pages.words("# Title"), pages.code("from llmrl.lesson import begin\nbegin('old')"), pages.code("x = 1")],
        [pages.code("x = 1")],
        [],
    ],
)
def test_a_notebook_gets_the_first_cell_once(path, cells):
    stored.write(pages.notebook(*cells), path)
    others = [stored.source(cell) for cell in stored.read(path)["cells"] if "begin" not in stored.source(cell)]
    assert stamp(path) and not stamp(path)
    notebook = stored.read(path)
    assert list(rules.starts_with(notebook, first_cell(NAME))) == []
    assert [stored.source(cell) for cell in notebook["cells"] if "begin" not in stored.source(cell)] == others


def test_outputs_stay(path):
    stored.write(pages.notebook(pages.code("begin('old')", pages.said("Lesson 1.1\n"))), path)
    stamp(path)
    assert stored.read(path)["cells"][0]["outputs"][0]["text"] == "Lesson 1.1\n"
