"""A study goes on where it stopped, and never computes a finished part again."""

import pytest

from llmrl.studies.kept import Kept


def test_a_finished_part_is_not_computed_again(tmp_path):
    calls = []

    def work():
        calls.append(1)
        return {"loss": 0.5}

    for _ in range(2):  # the second as a new process would, from the file
        kept = Kept(tmp_path / "build" / "study.json")
        assert kept("width 8, seed 0", work) == {"loss": 0.5}
    assert len(calls) == 1


def test_a_part_that_fails_leaves_the_finished_ones(tmp_path):
    kept = Kept(tmp_path / "study.json")
    kept("first", lambda: 1)
    with pytest.raises(ZeroDivisionError):
        kept("second", lambda: 1 / 0)
    assert Kept(tmp_path / "study.json").parts == {"first": 1}


def test_a_damaged_file_is_named_with_the_way_out(tmp_path):
    (tmp_path / "study.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="study.json is damaged.*delete it"):
        Kept(tmp_path / "study.json")
