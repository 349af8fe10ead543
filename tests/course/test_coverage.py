"""States, library names and claims are read off notebooks; the map and the README follow."""

import pages
import pytest

from llmrl.course import coverage, curriculum
from llmrl.course.coverage import State

PLAIN = {
    "start": {"notebook": "00_start", "title": "Start", "minutes": 5},
    "chapters": [
        {"chapter": "01_a", "title": "A chapter", "notebooks": [
            {"notebook": "01_b", "title": "B", "minutes": 30, "concepts": [
                {"id": "a.idea", "title": "An idea", "show": "that it is so"},
                {"id": "a.next", "title": "The next", "show": "that too", "peer": "torch", "checks": ["long ago"]},
            ]},
        ]},
    ],
}  # fmt: skip


@pytest.fixture
def plain(tmp_path):
    curriculum.write(PLAIN, tmp_path / "curriculum.yaml")
    return curriculum.load(tmp_path / "curriculum.yaml")


def test_the_map_survives_being_written(plain, tmp_path):
    course = curriculum.read(tmp_path / "curriculum.yaml")
    assert [lesson.name for lesson in course.lessons] == ["00_start", "01_a/01_b"]
    assert course.concepts["a.next"].peer == "torch" and course.chapters[0].minutes == 30
    text = (tmp_path / "curriculum.yaml").read_text(encoding="utf-8")
    curriculum.write(plain, tmp_path / "curriculum.yaml")
    assert (tmp_path / "curriculum.yaml").read_text(encoding="utf-8") == text


def test_the_shipped_map_is_written_in_its_one_form(tmp_path):
    curriculum.write(curriculum.load(), tmp_path / "again.yaml")
    shipped = (coverage.places.root() / "data" / "curriculum.yaml").read_text(encoding="utf-8")
    assert (tmp_path / "again.yaml").read_text(encoding="utf-8") == shipped, "run `python -m llmrl coverage --write`"


def test_states(plain):
    course = curriculum.parse(plain)
    assert set(coverage.states(course, {}).values()) == {State()}
    found = coverage.states(course, {"01_a/01_b": pages.good()})
    assert found["a.idea"].stands and str(found["a.idea"]) == "stands"
    assert str(found["a.next"]) == "planned"


@pytest.mark.parametrize(("drop", "state"), [(3, "opened, no figure"), (4, "opened, no check")])
def test_a_concept_without_evidence_does_not_stand(plain, drop, state):
    notebook = pages.good()
    del notebook["cells"][drop]
    found = coverage.states(curriculum.parse(plain), {"01_a/01_b": notebook})["a.idea"]
    assert not found.stands and str(found) == state


def test_evidence_in_another_notebook_does_not_count(plain):
    assert str(coverage.states(curriculum.parse(plain), {"00_start": pages.good()})["a.idea"]) == "planned"


def test_library_names_and_claims_are_read_off_the_section():
    notebook = pages.notebook(
        pages.code("from llmrl import storage\nfrom llmrl.seeds import rng as dice\nfrom llmrl.lesson import check"),
        pages.words(concepts=["a.idea"]),
        pages.code("storage.sha256('x')\ndice(0)\ncheck.that('it holds', True)\ncheck.close(f'{n} agree', 1, 1)"),
        pages.words(concepts=["a.next"]),
        pages.code("check.that('so does this', True)"),
    )
    found = coverage.evidence(notebook)
    assert found["a.idea"] == {"library": ["seeds.rng", "storage.sha256"], "checks": ["it holds", "f'{n} agree'"]}
    assert found["a.next"] == {"library": [], "checks": ["so does this"]}


def test_filling_the_map_adds_what_stands_and_drops_what_does_not(plain):
    concepts = coverage.filled(plain, {"01_a/01_b": pages.good()})["chapters"][0]["notebooks"][0]["concepts"]
    assert concepts[0]["checks"] == ["four is more than three"]
    assert "checks" not in concepts[1]


def test_names_resolve_to_objects_or_fail():
    from llmrl.storage import sha256

    assert coverage.resolve("storage.sha256") is sha256
    with pytest.raises(AttributeError):
        coverage.resolve("storage.nothing")
    with pytest.raises(ModuleNotFoundError):
        coverage.resolve("nowhere.nothing")


def test_the_readme_says_what_stands_and_what_is_planned(plain):
    course = curriculum.parse(plain)
    table = coverage.readme_table(course, coverage.states(course, {}))
    assert "| 1 | A chapter | 0 of 1 | 0 of 2 | 30, planned |" in table
    table = coverage.readme_table(course, {"a.idea": State(True, True, True), "a.next": State(True, True, True)})
    assert "| 1 | A chapter | 1 of 1 | 2 of 2 | 30 of 30 |" in table
    text = f"before\n{coverage.BEGIN}\nold\n{coverage.END}\nafter\n"
    assert coverage.with_table(text, table) == f"before\n{coverage.BEGIN}\n{table}\n{coverage.END}\nafter\n"
    with pytest.raises(ValueError, match="once each"):
        coverage.with_table("no marks", table)
