"""The bench runs, refuses to time two different computations, counts operations rightly and keeps what it measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def bench_is_importable(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)


@pytest.mark.slow
def test_a_row_runs_from_the_command_line():
    command = [sys.executable, "-m", "bench", "--quick", "--row", "training.step"]
    before = (ROOT / "bench/results.json").read_bytes() if (ROOT / "bench/results.json").exists() else None
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("training.step") and "1 thread" in line and "tokens/s" in line
    after = (ROOT / "bench/results.json").read_bytes() if (ROOT / "bench/results.json").exists() else None
    assert before == after, "a quick run keeps nothing"


def test_both_sides_train_alike():
    from bench.training import sides

    ours, theirs = sides(quick=True)
    losses = [(ours(), theirs()) for _ in range(4)]
    for a, b in losses:
        assert a == pytest.approx(b, abs=1e-5)
    assert losses[0][0] != pytest.approx(losses[3][0], abs=1e-3), "the steps must change the weights"


def test_a_faster_way_to_compute_something_else_is_refused(monkeypatch):
    from bench import training

    ours, theirs = training.sides(quick=True)
    monkeypatch.setattr(training, "sides", lambda quick: (lambda: ours() + 2e-5, theirs))
    with pytest.raises(ValueError, match="the loss of step 0 must be the same on both sides before they are timed"):
        training.against_transformers(quick=True)


def test_a_wrong_gradient_is_refused(monkeypatch):
    """The first loss is right; the weights that follow are not."""
    from bench import training

    ours, _ = training.sides(quick=True)
    _, other = training.sides(quick=True)
    first = other()
    monkeypatch.setattr(training, "sides", lambda quick: (ours, lambda: first))
    with pytest.raises(ValueError, match="the loss of step 1"):
        training.against_transformers(quick=True)


def test_ratios_are_of_speeds_and_in_our_favour_when_we_are_faster(monkeypatch):
    from bench import contest

    ticks = iter([2.0, 6.0, 1.0, 4.0, 3.0, 6.0])  # ours, theirs in turns
    monkeypatch.setattr(contest, "seconds", lambda call: next(ticks))
    nothing = contest.Contest(lambda: None, lambda: None, 12, "tokens/s", aim=2)
    result = contest.compare(nothing, rounds=3)
    assert (result["ratio"], result["quartiles"], result["ours"], result["theirs"]) == (3, [2.5, 3.5], 6, 2)


def test_operations_are_those_that_torch_counts():
    """torch counts attention as if everyone saw everyone: twice as much, but for the diagonal."""
    from torch.utils.flop_counter import FlopCounterMode

    from bench.training import TINY, flops
    from llmrl.lm.model import TinyLM

    B, T = 4, 16
    with FlopCounterMode(display=False) as counter:
        TinyLM(TINY)(torch.ones(B, T, dtype=torch.long)).sum().backward()
    attention = 3 * TINY.layers * 4 * TINY.width * B * T * T
    seen = attention * (T + 1) / (2 * T)
    by_torch = counter.get_flop_counts()["Global"]
    products = sum(n for op, n in by_torch.items() if "mm" in str(op))
    assert flops(TINY, B, T) == products + seen


def test_results_are_merged_by_row_and_name_no_machine(tmp_path):
    import platform

    from bench.run import merge

    path = tmp_path / "results.json"
    merge([{"row": "a", "threads": 1, "ratio": 1.0}, {"row": "b", "threads": 1, "ratio": 2.0}], path)
    merge([{"row": "a", "threads": 1, "ratio": 3.0}], path)
    kept = json.loads(path.read_text())
    assert [(r["row"], r["ratio"]) for r in kept["rows"]] == [("a", 3.0), ("b", 2.0)]
    assert platform.node() not in json.dumps(kept["machine"]) and str(Path.home()) not in path.read_text()
