"""The study of ways to spend tokens: what was shipped fits together, and a part of it again."""

import pytest

from llmrl.studies import step_search
from llmrl.toy import files, tasks


@pytest.fixture(scope="module")
def found():
    return files.read_json("studies/step_search.json")


def test_what_was_shipped_fits_together(found):
    curves = found["drawn"]["curves"]
    assert found["sizes"] == list(step_search.SIZES) and found["questions"] == step_search.QUESTIONS
    assert all(len(curve) == len(found["sizes"]) for curve in curves.values())
    assert curves["knows"] == sorted(curves["knows"])
    longest = found["longest"]
    for n in (1, 16, 256):
        mean = sum(longest["each"][str(n)]) / found["questions"]
        assert longest["right"][longest["sizes"].index(n)] == pytest.approx(mean, abs=2e-4)
    assert curves["knows"][0] == curves["arithmetic"][0] == curves["arithmetic, then likelier"][0]
    assert [(part["width"], part["draws"]) for part in found["stepped"]] == list(step_search.PLANS)
    assert all(len(row["right"]) == found["questions"] for row in found["trees"]["searches"].values())


def test_the_first_questions_again(found, monkeypatch):
    monkeypatch.setattr(step_search, "QUESTIONS", 6)
    assert all(tasks.held_out(item.prompt) for item in step_search.questions())
    again = step_search.looked()["searches"]
    for name, row in again.items():
        assert row["right"] == found["trees"]["searches"][name]["right"][:6], name
