"""The map of methods: every name can be imported, every link leads somewhere, nothing planned is linked."""

import re

import pytest

from llmrl.course import coverage, curriculum, method_map, places, stored
from llmrl.course.method_map import LEARNS, METHODS, TOLD, Placed
from llmrl.course.sections import sections

HERE = "04_rl_basics/01_the_rl_problem"
COURSE = curriculum.read()
each = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@each
def test_a_method_is_placed_and_its_names_exist(method):
    assert 0 <= method.learns < len(LEARNS) and method.told in TOLD
    assert method_map.lessons(COURSE)[method.concept].name
    if method.library:
        assert callable(coverage.resolve(method.library))


def test_a_method_of_a_lesson_that_stands_in_this_chapter_is_in_the_library():
    runs = method_map.standing(COURSE)
    lacking = [m.name for m in METHODS if m.concept in runs and not m.library and "04_rl" in _lesson(m).name]
    assert not lacking and len({m.name for m in METHODS}) == len(METHODS)


def _lesson(method):
    return method_map.lessons(COURSE)[method.concept]


def test_what_runs_is_read_off_the_notebooks():
    runs = method_map.standing(COURSE)
    for method in METHODS:
        path = places.root() / "notebooks" / f"{_lesson(method).name}.ipynb"
        opened = {c for s in sections(stored.read(path)) for c in s.concepts} if path.is_file() else set()
        assert method.concept not in runs or method.concept in opened
    assert "dpo.loss" in runs, "lesson 3.1 stands"


def test_an_installed_copy_reads_the_curriculum(monkeypatch):
    monkeypatch.setattr(places, "folder", lambda: None)
    runs = method_map.standing(COURSE, HERE)
    assert runs == {m.concept for m in METHODS if COURSE.concepts[m.concept].stands} | {"rl.paradigms"}


def test_a_missing_notebook_breaks_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "root", lambda: tmp_path)
    assert method_map.standing(COURSE) == set() and method_map.standing(COURSE, HERE) == {"rl.paradigms"}


def test_links_go_from_notebook_to_notebook(capsys):
    found = method_map.lessons(COURSE)
    assert method_map.link(found["dp.bellman"], HERE) == "03_dynamic_programming.ipynb"
    assert method_map.link(found["dpo.loss"], HERE) == "../03_dpo/01_from_rlhf_to_dpo.ipynb"
    assert method_map.lesson_number(COURSE, found["dpo.loss"]) == "3.1"


def test_a_concept_that_no_lesson_has_is_named():
    with pytest.raises(ValueError, match="no lesson of the curriculum has the concepts rl.nothing"):
        method_map.lessons(COURSE, [Placed("x", 0, "own", False, "rl.nothing")])


def test_the_stored_map_links_what_runs_today():
    path = places.root() / "notebooks" / f"{HERE}.ipynb"
    if not path.is_file():
        pytest.skip("the lesson with the map is not there yet")
    pages = [out["data"]["text/html"] for _, cell in stored.code_cells(stored.read(path)) for out in cell["outputs"]
             if "show_links" in cell["source"] and "text/html" in out.get("data", {})]  # fmt: skip
    linked = set(re.findall(r'href="([^"]+)"', "".join(pages)))
    for address in linked:
        assert (path.parent / address).resolve().is_file(), f"{address} leads nowhere"
    runs = method_map.standing(COURSE, HERE)
    today = {method_map.link(_lesson(m), HERE) for m in METHODS if m.concept in runs}
    assert linked == today, "lessons came or went: run `python -m llmrl run 04_rl_basics/01` to draw the map anew"
