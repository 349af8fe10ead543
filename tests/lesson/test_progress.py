"""What was solved is remembered, whatever happens to the file; when it cannot be, the grade still stands."""

import json
import os
import subprocess
import sys

import pytest

from llmrl.lesson import grade, progress
from llmrl.lesson.exercise import exercises

NAME = next(iter(exercises()))


def file():
    return progress.home() / "progress.json"


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LLMRL_HOME", str(tmp_path / "mine"))
    assert progress.home() == tmp_path / "mine"
    monkeypatch.delenv("LLMRL_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert progress.home() == tmp_path / "xdg" / "llmrl"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert progress.home() == tmp_path / ".local" / "share" / "llmrl"


def test_a_solved_exercise_is_remembered_with_its_first_day():
    assert progress.record(NAME) is None
    written = json.loads(file().read_text())
    assert list(written["solved"]) == [NAME]
    file().write_text(json.dumps({"solved": {NAME: "2020-01-01"}}))
    progress.record(NAME)
    assert progress.solved() == ({NAME: "2020-01-01"}, None)


def test_grading_remembers_what_is_right_and_nothing_else(capsys):
    grade(NAME, lambda *args: None)
    grade(NAME, lambda *args: "wrong")
    assert not file().exists()
    grade(NAME, exercises()[NAME].solve())
    assert list(progress.solved()[0]) == [NAME]
    assert len(capsys.readouterr().out.splitlines()) == 3


DAMAGED = ["", "{", "[]", "null", '{"solved": 3}', '{"solved": {"a": 1}}', "{}", "\x00" * 40, '{"solved": ["a"]}']


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(text):
    file().parent.mkdir(parents=True)
    file().write_text(text)
    assert "kept as progress.json.damaged and a new one begun" in progress.record(NAME)
    assert file().with_name("progress.json.damaged").read_text() == text
    assert progress.record(NAME) is None and list(progress.solved()[0]) == [NAME]


def test_a_second_damaged_file_does_not_replace_the_first():
    file().parent.mkdir(parents=True)
    for text in ("first", "second"):
        file().write_text(text)
        progress.record(NAME)
    assert file().with_name("progress.json.damaged").read_text() == "first"
    assert file().with_name("progress.json.damaged2").read_text() == "second"


def test_bytes_that_are_no_text_count_as_damage():
    file().parent.mkdir(parents=True)
    file().write_bytes(b"\xff\xfe\x00")
    assert "kept as" in progress.record(NAME)


def test_a_folder_that_cannot_be_made_costs_the_memory_not_the_grade(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LLMRL_HOME", str(tmp_path / "file" / "home"))
    grade(NAME, exercises()[NAME].solve())
    right, note = capsys.readouterr().out.splitlines()
    assert right.startswith("✓") and "not remembered: Not a directory" in note and "LLMRL_HOME" in note
    assert str(tmp_path) not in note
    assert "0 of" in progress.report() and "could not be read" in progress.report()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_costs_the_memory_not_the_grade(capsys):
    progress.record("before")
    progress.home().chmod(0o500)
    try:
        grade(NAME, exercises()[NAME].solve())
    finally:
        progress.home().chmod(0o700)
    assert "not remembered" in capsys.readouterr().out
    assert list(progress.solved()[0]) == ["before"]


def test_a_full_disk_loses_nothing(monkeypatch):
    progress.record("before")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("llmrl.storage.os.fsync", full)
    assert "not remembered: No space left on device" in progress.record(NAME)
    assert list(progress.solved()[0]) == ["before"]
    assert not list(progress.home().glob("*.part"))


def test_a_reader_without_a_home_is_graded_too(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LLMRL_HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr("llmrl.lesson.progress.Path.home", homeless)
    assert "no home folder" in progress.record(NAME)
    assert progress.solved()[0] == {}


def test_notebooks_that_finish_together_lose_nothing():
    code = "import sys; from llmrl.lesson.progress import record; [record(f'{sys.argv[1]}.{i}') for i in range(10)]"
    workers = [subprocess.Popen([sys.executable, "-c", code, f"worker{n}"]) for n in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    assert len(progress.solved()[0]) == 40


def test_the_report_lists_every_exercise_and_what_is_left():
    progress.record(NAME)
    progress.record("an.exercise_that_was_renamed")
    lines = progress.report().splitlines()
    assert len(lines) == len(exercises()) + 1
    assert lines[0].startswith(f"✓ {NAME}") and all(line.startswith("○") for line in lines[1:-1])
    minutes = sum(e.minutes for e in exercises().values()) - exercises()[NAME].minutes
    assert lines[-1] == f"1 of {len(exercises())} exercises solved, about {minutes} minutes to go"
    assert [row["exercise"] for row in progress.table() if row["solved"]] == [NAME]
