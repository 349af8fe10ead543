"""The notebooks of the course keep the rules of the course."""

import functools

import pytest

from llmrl.course import copies, coverage, curriculum, places, rules, stored

PATHS = places.notebooks()
LESSONS = [path for path in PATHS if path.parent.name != "notebooks"]


@functools.cache
def library():
    return copies.library(places.PACKAGE)


def solutions():
    from llmrl.lesson.exercise import exercises

    return {name: exercise.solution for name, exercise in exercises().items()}


def stamped(notebook, path):
    from llmrl.lesson import first_cell

    return rules.starts_with(notebook, first_cell(places.name(path)))


def known(notebook, path):
    lessons = {lesson.name: lesson for lesson in curriculum.read().lessons}
    return rules.concepts_known(notebook, {concept.id for concept in lessons[places.name(path)].concepts})


EVERYWHERE = {
    "run in order": lambda notebook, path: rules.executed_in_order(notebook),
    "no errors": lambda notebook, path: rules.no_errors(notebook),
    "nothing on stderr": lambda notebook, path: rules.no_stderr(notebook),
    "nothing of this machine": lambda notebook, path: rules.nothing_of_this_machine(notebook),
    "figures described": lambda notebook, path: rules.figures_described(notebook),
    "short cells": lambda notebook, path: rules.cells_short(notebook),
    "words between code": lambda notebook, path: rules.words_between(notebook),
    "the course's first cell": stamped,
    "concepts of the map": known,
    "whole concepts": lambda notebook, path: rules.concepts_whole(notebook),
    "nothing copied": lambda notebook, path: rules.library_not_copied(notebook, library()),
    "Python": lambda notebook, path: rules.is_python(notebook),
    "checks compared": lambda notebook, path: rules.outputs_compared(notebook),
    "solutions after exercises": lambda notebook, path: rules.solutions_come_after(notebook, solutions()),
    "stubs hide nothing": lambda notebook, path: rules.stubs_take_no_name(notebook),
    "one form": lambda notebook, path: rules.in_its_one_form(notebook, path.read_text(encoding="utf-8")),
}


@pytest.mark.parametrize("rule", EVERYWHERE)
@pytest.mark.parametrize("path", PATHS, ids=places.name)
def test_a_notebook_keeps(path, rule):
    problems = list(EVERYWHERE[rule](stored.read(path), path))
    assert not problems, "\n".join([f"{places.name(path)}:", *problems])


@pytest.mark.parametrize("path", LESSONS, ids=places.name)
def test_a_lesson_has_exercises(path):
    assert list(rules.exercises(stored.read(path))) == []


def test_every_notebook_is_on_the_map():
    strangers = {places.name(path) for path in PATHS} - {lesson.name for lesson in curriculum.read().lessons}
    assert not strangers, f"not in data/curriculum.yaml: {', '.join(sorted(strangers))}"


def test_notebooks_are_numbered_in_the_order_of_the_map():
    course = curriculum.read()
    for chapter in course.chapters:
        names = [lesson.name for lesson in chapter.lessons]
        assert names == sorted(names) and len(set(names)) == len(names)
        assert [int(name.split("/")[1][:2]) for name in names] == list(range(1, len(names) + 1))
    assert [int(chapter.name[:2]) for chapter in course.chapters] == list(range(1, len(course.chapters) + 1))


def test_ids_of_concepts_are_unique():
    course = curriculum.read()
    assert len(course.concepts) == sum(len(lesson.concepts) for lesson in course.lessons)


def test_the_map_is_up_to_date_with_the_notebooks():
    plain, notebooks = curriculum.load(), coverage.read()
    assert coverage.filled(curriculum.load(), notebooks) == plain, "run `python -m llmrl coverage --write`"


def test_the_names_of_the_map_are_in_the_library():
    names = {name for concept in curriculum.read().concepts.values() for name in concept.library}
    for name in sorted(names):
        coverage.resolve(name)


def test_the_map_in_the_readme_is_up_to_date():
    course = curriculum.read()
    readme = (places.root() / "README.md").read_text(encoding="utf-8")
    table = coverage.readme_table(course, coverage.states(course, coverage.read()))
    assert coverage.with_table(readme, table) == readme, "run `python -m llmrl coverage --readme`"


def test_the_picture_in_the_readme_is_the_first_notebook_s_own():
    from llmrl.course import overview

    shown = (places.root() / "docs" / "first_minute.png").read_bytes()
    assert shown == overview.first_picture(), "run `python -m llmrl coverage --readme`"


def test_every_exercise_is_asked_in_a_notebook():
    code = "\n".join(stored.source(cell) for path in PATHS for _, cell in stored.code_cells(stored.read(path)))
    assert [name for name in solutions() if f'grade("{name}"' not in code] == []
