"""Calls are noted in their order, with shapes and gradients, inside the block only."""

import pytest
import torch
from lm.lively import lively

from llmrl.rlhf.io_table import Call, calls
from llmrl.rlhf.reward_model import RewardModel


def test_every_call_is_noted_as_it_happened():
    model = lively()
    judge, ids = RewardModel(model), torch.zeros(2, 5, dtype=torch.long)
    with calls(policy=model, judge=judge) as seen:
        judge.score([[1, 2, 3], [4]])
        model(ids)
        with torch.no_grad():
            model(ids[:1])
    model(ids)
    assert seen == [
        Call("judge", ((2, 3), (2, 3)), (2,), "float32", False),
        Call("policy", ((2, 5),), (2, 5, 40), "float32", True),
        Call("policy", ((1, 5),), (1, 5, 40), "float32", False),
    ]


def test_the_hooks_are_gone_after_an_error():
    model = lively()
    with pytest.raises(ZeroDivisionError), calls(policy=model) as seen:
        raise ZeroDivisionError
    model(torch.zeros(1, 2, dtype=torch.long))
    assert seen == []
