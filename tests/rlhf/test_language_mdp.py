"""An answer as an episode: what each row holds, how it ends, and that the rows say what the model said."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lm.lively import lively

from llmrl.lm.logprobs import token_logp
from llmrl.rlhf.language_mdp import episode, to_go

IDS = st.lists(st.integers(4, 39), min_size=1, max_size=9)


@given(IDS, IDS, st.booleans(), st.floats(-5, 5))
def test_the_next_state_is_the_state_with_the_action_behind_it(prompt, answer, closed, score):
    answer = answer + [3] * closed
    moves = episode(prompt, answer, score, end=3)
    assert moves[0].state == tuple(prompt) and [move.action for move in moves] == answer
    for move, following in zip(moves, moves[1:]):
        assert following.state == (*move.state, move.action) and move.reward == 0.0
        assert not move.terminated and not move.truncated
    assert (moves[-1].terminated, moves[-1].truncated, moves[-1].reward) == (closed, not closed, float(score))


def test_the_log_probabilities_of_the_actions_are_those_of_the_answer():
    model, prompt, answer = lively(), [5, 6, 7], [9, 8, 3]
    moves = episode(prompt, answer, 1.0, end=3)
    each = [model(torch.tensor([move.state]))[0, -1].log_softmax(-1)[move.action].item() for move in moves]
    whole = token_logp(model(torch.tensor([prompt + answer])), torch.tensor([prompt + answer]))[0, 2:]
    assert each == pytest.approx(whole.tolist(), abs=1e-5)


def test_without_a_discount_every_state_earns_the_score():
    moves = episode([5], [6, 7, 8, 3], 2.0, end=3)
    assert to_go(moves).tolist() == [2.0] * 4
    assert to_go(moves, 0.5).tolist() == [0.25, 0.5, 1.0, 2.0]


@pytest.mark.parametrize("prompt, answer", [([], [5]), ([5], []), ([], [])])
def test_an_answer_that_never_began(prompt, answer):
    with pytest.raises(ValueError, match="one token or more and takes one action or more"):
        episode(prompt, answer, 1.0, end=3)


def test_nothing_follows_the_end():
    with pytest.raises(ValueError, match="the end token 3 closes the answer, and stands at 1 of 3"):
        episode([5], [6, 3, 7], 1.0, end=3)
