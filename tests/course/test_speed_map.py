"""The map of savings: every name can be imported, every link leads somewhere, nothing planned is linked."""

import re

import pytest

from llmrl.course import coverage, curriculum, method_map, places, speed_map, stored
from llmrl.course.speed_map import LEVELS, SAVINGS, Saving

HERE = "08_performance/01_memory_and_compute"
COURSE = curriculum.read()


@pytest.mark.parametrize("saving", SAVINGS, ids=lambda saving: saving.name)
def test_a_saving_is_placed_and_its_names_exist(saving):
    assert 0 <= saving.level < len(LEVELS) and saving.saves and saving.costs
    assert method_map.lessons(COURSE, SAVINGS)[saving.concept].name
    if saving.library:
        assert callable(coverage.resolve(saving.library))


def test_every_level_is_filled_and_no_name_comes_twice():
    assert {saving.level for saving in SAVINGS} == set(range(len(LEVELS)))
    assert len({saving.name for saving in SAVINGS}) == len(SAVINGS)
    assert len({saving.concept for saving in SAVINGS}) == len(SAVINGS), "each concept once"


def test_every_lesson_of_this_chapter_on_one_machine_is_there():
    chapter = next(chapter for chapter in COURSE.chapters if HERE in [lesson.name for lesson in chapter.lessons])
    here = {method_map.lessons(COURSE, SAVINGS)[saving.concept].name for saving in SAVINGS}
    missing = {lesson.name for lesson in chapter.lessons} - here
    assert missing == {"08_performance/07_moe_finetuning"}, "which is about tuning, not about paying less"


def test_the_table_links_what_runs_only(capsys):
    from llmrl.lesson import display

    shown = {}
    before, speed_map.emit = speed_map.emit, shown.update
    try:
        speed_map.show_savings(COURSE, {"peft.lora"}, HERE)
    finally:
        speed_map.emit = before
    assert display.emit is before
    assert re.findall(r'href="([^"]+)"', shown["text/html"]) == ["../02_sft/03_lora.ipynb"]
    first, _, unfolded = shown["text/html"].partition("<details>")
    assert all(saving.name in first and saving.costs in unfolded for saving in SAVINGS)


def test_a_concept_that_no_lesson_has_is_named():
    with pytest.raises(ValueError, match="perf.nothing"):
        method_map.lessons(COURSE, [Saving("x", 0, "a", "b", "perf.nothing")])


def test_the_stored_map_links_what_is_measured_today():
    path = places.root() / "notebooks" / f"{HERE}.ipynb"
    if not path.is_file():
        pytest.skip("the lesson with the map is not there yet")
    pages = [out["data"]["text/html"] for _, cell in stored.code_cells(stored.read(path)) for out in cell["outputs"]
             if "show_savings" in cell["source"] and "text/html" in out.get("data", {})]  # fmt: skip
    linked = set(re.findall(r'href="([^"]+)"', "".join(pages)))
    assert all((path.parent / address).resolve().is_file() for address in linked)
    runs, of = method_map.standing(COURSE, HERE, SAVINGS), method_map.lessons(COURSE, SAVINGS)
    today = {method_map.link(of[saving.concept], HERE) for saving in SAVINGS if saving.concept in runs}
    assert linked == today, f"lessons came or went: run `python -m llmrl run {HERE}` to draw the map anew"
