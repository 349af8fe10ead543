"""Early stopping against the definition, word by word, against transformers' callback, and in a run that overfits."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.tuning.stopping import Keeper, stop_at

numbers = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=12)


def test_by_hand():
    assert stop_at([3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.1], 3) == (3, 6)
    assert stop_at([3.0, 2.0, 2.5, 2.4, 1.0], 2) == (1, 3)
    assert stop_at([3.0, 2.0, 1.0], 1) == (2, 2)
    assert stop_at([1.0, 1.0, 1.0], 2) == (0, 2)
    assert stop_at([2.0, 1.95, 1.93, 1.92], 2, 0.2) == (0, 2)
    assert stop_at([5.0], 1) == (0, 0)


@settings(max_examples=80, deadline=None)
@given(numbers, st.integers(1, 4))
def test_it_stops_at_the_first_place_that_lies_patience_behind_the_best_so_far(losses, patience):
    best_of = [min(range(n + 1), key=losses.__getitem__) for n in range(len(losses))]  # the first best so far
    ends = [n for n, best in enumerate(best_of) if n - best >= patience]
    last = ends[0] if ends else len(losses) - 1
    assert stop_at(losses, patience) == (best_of[last], last)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(numbers, st.integers(1, 4), st.sampled_from([0.0, 1.5]))
def test_transformers_stops_at_the_same_measurement(losses, patience, least):
    from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

    arguments = TrainingArguments(metric_for_best_model="eval_loss", greater_is_better=False, use_cpu=True)
    callback, state = EarlyStoppingCallback(patience, least), TrainerState()
    for at, loss in enumerate(losses):  # noqa: B007
        control = TrainerControl()
        callback.on_evaluate(arguments, state, control, {"eval_loss": loss})
        if state.best_metric is None or loss < state.best_metric - least:
            state.best_metric = loss
        if control.should_training_stop:
            break
    assert stop_at(losses, patience, least)[1] == at


def test_nan_is_never_the_best():
    assert stop_at([math.nan, 2.0, math.nan], 2) == (1, 2)
    with pytest.raises(ValueError, match="losses must hold a finite number"):
        stop_at([math.nan], 1)
    with pytest.raises(ValueError, match="losses must hold a finite number or more, got \\[\\]"):
        stop_at([], 1)


@pytest.mark.parametrize("patience", [0, -1, 2.0, True, None])
def test_a_patience_that_is_none(patience):
    with pytest.raises(ValueError, match="patience must be a whole number of at least 1"):
        stop_at([1.0], patience)
    with pytest.raises(ValueError, match="patience must be a whole number of at least 1"):
        Keeper(torch.nn.Linear(1, 1), patience)


def test_a_least_below_zero():
    with pytest.raises(ValueError, match="least must be a number of 0 or more, got -1"):
        stop_at([1.0], 1, -1)


def test_the_best_weights_come_back():
    model = torch.nn.Linear(1, 1, bias=False)
    keeper, seen = Keeper(model, patience=2), []
    for weight, loss in ((1.0, 3.0), (2.0, 1.0), (3.0, 2.0), (4.0, 2.5), (5.0, 0.1)):
        with torch.no_grad():
            model.weight.fill_(weight)
        seen.append(weight)
        if keeper.over(loss):
            break
    assert seen == [1.0, 2.0, 3.0, 4.0] and keeper.losses == [3.0, 1.0, 2.0, 2.5]
    assert keeper.restore() == 1 and model.weight.item() == 2.0


def test_nothing_to_restore():
    keeper = Keeper(torch.nn.Linear(1, 1), patience=1)
    assert keeper.over(math.nan) is False
    with pytest.raises(ValueError, match="no finite loss was noted yet"):
        keeper.restore()
