"""The first call of every lesson: the same words for everybody, and the reader's own settings respected."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from llmrl.lesson import begin, budget, rng
from llmrl.lesson.opening import QUIET, lessons
from llmrl.toy import files

LESSON = "01_llm_basics/02_inside_the_transformer"


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Undo what begin() does to the process."""
    import matplotlib

    for variable in QUIET:
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
        monkeypatch.delenv(variable)
    threads, params = torch.get_num_threads(), dict(matplotlib.rcParams)
    yield
    torch.set_num_threads(threads)
    matplotlib.rcParams.update(params)


@pytest.mark.parametrize("variables", [{}, {"LLMRL_SEED": "7", "LLMRL_THREADS": "2", "LLMRL_DEVICE": "cpu"}])
def test_the_opening_line_is_the_same_for_everybody(variables, monkeypatch, capsys):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    lesson = begin(LESSON)
    assert capsys.readouterr().out == "Lesson 1.2: Inside the transformer\n"
    assert repr(lesson) == f"lesson {LESSON}"
    assert lesson.seed == int(variables.get("LLMRL_SEED", 0))
    assert torch.get_num_threads() == int(variables.get("LLMRL_THREADS", 1))


def test_every_lesson_of_the_curriculum_has_a_heading():
    names = list(lessons())
    assert names[0] == "00_start_here" and LESSON in names and len(names) == len(set(names)) > 50
    assert all(heading for heading in lessons().values())


@pytest.mark.parametrize("name", ["01_llm_basics/02_inside_transformer", "02_inside_the_transformer"])
def test_a_misspelt_lesson_is_answered_with_its_neighbours(name):
    with pytest.raises(ValueError, match=f"did you mean .*{LESSON}"):
        begin(name)


@pytest.mark.parametrize("name", ["", "zzz", None, 3])
def test_a_name_like_no_lesson_is_told_the_range(name):
    with pytest.raises(ValueError, match="'00_start_here'"):
        begin(name)


def test_a_missing_map_is_named_with_the_way_to_restore_it(monkeypatch, tmp_path):
    monkeypatch.setenv("LLMRL_DATA", str(tmp_path))
    lessons.cache_clear()
    with pytest.raises(files.DataError, match="git checkout -- data/curriculum.yaml"):
        begin(LESSON)
    lessons.cache_clear()


def test_hub_and_trackers_are_quiet_unless_the_reader_decided(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    begin(LESSON)
    assert os.environ["HF_HUB_OFFLINE"] == "0"
    assert all(os.environ[name] == value for name, value in QUIET.items() if name != "HF_HUB_OFFLINE")


def test_stray_randomness_repeats_and_follows_seed_and_lesson(monkeypatch):
    def stray(name=LESSON):
        begin(name)
        return random.random(), np.random.random(), torch.rand(1).item()

    first = stray()
    assert stray() == first
    assert stray("00_start_here") != first
    monkeypatch.setenv("LLMRL_SEED", "1")
    assert all(a != b for a, b in zip(stray(), first))


def test_streams_are_named_by_purpose():
    draw = [torch.rand(3, generator=rng(0, purpose)).tolist() for purpose in ("a", "a", "b")]
    assert draw[0] == draw[1] != draw[2]


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta:x"])
def test_a_device_that_is_not_there_is_named(name, monkeypatch):
    monkeypatch.setenv("LLMRL_DEVICE", name)
    with pytest.raises(ValueError, match=f"LLMRL_DEVICE must be .*{name}"):
        begin(LESSON)


@pytest.mark.parametrize(("variable", "value"), [("LLMRL_SEED", "x"), ("LLMRL_THREADS", "0")])
def test_a_bad_setting_is_named(variable, value, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=variable):
        begin(LESSON)


@pytest.mark.parametrize(("scale", "amount"), [("1", 200), ("0.2", 40), ("0.0001", 1), ("3", 600)])
def test_the_budget_scales_and_is_never_nothing(scale, amount, monkeypatch):
    monkeypatch.setenv("LLMRL_BUDGET", scale)
    monkeypatch.setenv("LLMRL_DEVICE", "cpu")
    assert budget(cpu=200, gpu=2000) == budget(cpu=200) == amount


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf", "much"])
def test_a_budget_that_is_no_number_above_zero_is_named(scale, monkeypatch):
    monkeypatch.setenv("LLMRL_BUDGET", scale)
    with pytest.raises(ValueError, match="LLMRL_BUDGET must be a number above 0"):
        budget(cpu=3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gets_its_own_budget():
    assert budget(cpu=2, gpu=20) == 20 and begin(LESSON).device == "cuda"


def test_importing_the_kit_loads_nothing_heavy():
    code = "import sys, llmrl.lesson; print([m for m in ('torch', 'matplotlib', 'IPython') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
