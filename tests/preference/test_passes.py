"""What is counted while real code runs, and what is kept between steps."""

import pytest
import torch
from tiny import PAIRS, bpe, talker
from torch import nn

from llmrl.lm.training import Plan, adamw, pad
from llmrl.preference.passes import counted, held
from llmrl.preference.train import reference_logp, rendered, train
from llmrl.rlhf.reward_model import RewardModel

ROWS = rendered(PAIRS, bpe())


def test_reading_and_learning_are_told_apart():
    model = talker()
    with counted(policy=model) as passes:
        model(torch.ones(2, 5, dtype=torch.long))
        with torch.no_grad():
            model(torch.ones(1, 3, dtype=torch.long))
    model(torch.ones(2, 5, dtype=torch.long))  # outside, not counted
    assert (passes["policy"].read, passes["policy"].learned) == (13, 10)


def test_dpo_reads_both_sides_once_and_the_policy_once_per_step():
    model, reference = talker(), talker()
    width = pad([side[0] for row in ROWS for side in row]).shape[1]
    with counted(policy=model, reference=reference) as passes:
        ref_logp = reference_logp(reference, ROWS)
        list(train(model, ROWS, ref_logp, Plan(steps=3), batch=4))
    assert passes["policy"].read == passes["policy"].learned <= 3 * 2 * 4 * width
    assert passes["reference"].read <= 2 * 3 * width and passes["reference"].learned == 0


def test_counting_ends_with_the_block_even_after_an_error():
    model = talker()
    with pytest.raises(TypeError), counted(policy=model):
        model("words")
    assert not model.embed._forward_pre_hooks


def test_what_has_no_embedding_is_refused():
    with (
        pytest.raises(ValueError, match="judge has no embedding to count at, got Linear"),
        counted(judge=nn.Linear(2, 2)),
    ):
        pass


def test_four_copies_of_a_trained_model_one_of_a_frozen_one():
    model, frozen = talker(), talker()
    size = 4 * sum(p.numel() for p in model.parameters())
    assert held(frozen) == {"weights": size, "gradients": 0, "optimizer": 0}
    optimizer = adamw(model, 1e-3)
    model(torch.ones(1, 3, dtype=torch.long)).sum().backward()
    optimizer.step()
    assert held(model, optimizer) == {"weights": size, "gradients": size, "optimizer": 2 * size}
    assert held(RewardModel(frozen))["weights"] == size + 4 * 24
