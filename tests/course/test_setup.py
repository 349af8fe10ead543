"""The set-up: done once, redone when it broke off, brought up to date when pins change, clear when it cannot start.

A stand-in for Python records what it is asked to do, so that this takes no network and no minutes.
"""

import os
import shutil
import subprocess

import pytest

from llmrl.course import places

ROOT = places.root()
STAND_IN = """#!/bin/sh
echo "$@" >> "$LOG"
case "$*" in
    *version_info\\ \\<*) exit ${OLD:-0} ;;
    *ensurepip*) exit ${NO_VENV:-0} ;;
    *print*) echo 3.11 ;;
    -V) echo Python 3.11.0 ;;
    "-m venv"*) rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    "-m pip install -r"*) exit ${NO_NETWORK:-0} ;;
esac
"""


@pytest.fixture
def course(tmp_path):
    folder = tmp_path / "a course"
    (folder / ".ci").mkdir(parents=True)
    for name in ("requirements.txt", "pyproject.toml", "setup.py", ".ci/setup"):
        shutil.copy(ROOT / name, folder / name)
    (tmp_path / "python").write_text(STAND_IN)
    (tmp_path / "python").chmod(0o755)
    return folder


def setup(folder, **environment):
    log = folder.parent / "log"
    log.write_text("")
    done = subprocess.run(
        ["sh", ".ci/setup"], cwd=folder, capture_output=True, text=True, timeout=60,
        env=os.environ | {"PYTHON": str(folder.parent / "python"), "LOG": str(log)} | environment,
    )  # fmt: skip
    asked = [line for line in log.read_text().splitlines() if line.startswith("-m")]
    return done, [line.split()[1] for line in asked], log.read_text()


WHOLE = ["venv", "pip", "pip"]


def test_the_first_time_makes_everything_and_the_second_nothing(course):
    done, asked, said = setup(course)
    assert done.returncode == 0 and asked == WHOLE, done.stderr
    assert "-m pip install -r requirements.txt" in said and "--no-build-isolation --no-deps -e ." in said
    done, asked, _ = setup(course)
    assert (done.returncode, asked, done.stderr) == (0, [], "")


def test_a_set_up_that_broke_off_is_never_used_and_is_done_again_from_the_start(course):
    done, asked, _ = setup(course, NO_NETWORK="1")
    assert done.returncode == 1 and "Nothing half-installed will be used" in done.stderr
    assert not (course / ".venv/.ready").exists()
    assert setup(course)[1] == WHOLE and setup(course)[1] == []


def test_changed_pins_bring_it_up_to_date(course):
    setup(course)
    (course / "requirements.txt").write_text("numpy==2.4.6\n")
    assert setup(course)[1] == ["pip", "pip"] and setup(course)[1] == []


def test_an_update_that_broke_off_is_done_again_from_the_start(course):
    setup(course)
    (course / "requirements.txt").write_text("numpy==2.4.6\n")
    assert setup(course, NO_NETWORK="1")[0].returncode == 1
    assert setup(course)[1] == WHOLE


def test_a_folder_that_moved_is_set_up_again(course):
    setup(course)
    moved = course.rename(course.parent / "moved")
    assert setup(moved)[1] == WHOLE


def test_an_environment_whose_python_is_gone_is_set_up_again(course):
    setup(course)
    (course / ".venv/bin/python").write_text("#!/bin/sh\nexit 127\n")
    assert setup(course)[1] == WHOLE


def test_an_old_python_is_told_what_to_do(course):
    done, asked, _ = setup(course, OLD="1")
    assert done.returncode == 1 and asked == []
    assert "needs Python 3.11 or newer" in done.stderr and "is Python 3.11.0" in done.stderr
    assert "make setup PYTHON=/path/to/python3.11" in done.stderr


def test_no_python_at_all_is_told_what_to_do(course):
    done, asked, _ = setup(course, PYTHON="/no/such/python")
    assert done.returncode == 1 and "/no/such/python is not there" in done.stderr


def test_a_python_without_venv_is_told_what_to_install(course):
    done, asked, _ = setup(course, NO_VENV="1")
    assert done.returncode == 1 and asked == []
    assert "apt-get install python3.11-venv" in done.stderr and not (course / ".venv").exists()
