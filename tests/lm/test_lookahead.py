"""Lookahead decoding says what greedy decoding says, and its one pass is what separate passes would give."""

import pytest
import torch
from lively import lively, some_ids

from llmrl.lm.generation import generate
from llmrl.lm.lookahead import Lookahead, agreeing, lookahead, sight

MODEL = lively()


@pytest.mark.parametrize("window, ngram, guesses", [(1, 2, 1), (4, 3, 2), (5, 4, 5), (8, 2, 8)])
def test_the_text_is_the_greedy_one(window, ngram, guesses):
    for length in (1, 4, 9):
        prompt = some_ids(1, length, seed=length)[0].tolist()
        out = lookahead(MODEL, prompt, 20, window, ngram, guesses)
        assert out.ids == generate(MODEL, [prompt], 20, stop=()).ids[0].tolist()
        assert sum(kept + 1 for _, kept in out.rounds) == 20


def test_a_text_that_repeats_takes_fewer_passes():
    """A model without layers that matter says the same word for ever: the pool soon knows it."""
    model = lively()
    with torch.no_grad():
        for weight in model.layers.parameters():
            weight.zero_()
    out = lookahead(model, [1], 24, 4, 4, 2)
    assert out.ids == generate(model, [[1]], 24, stop=()).ids[0].tolist()
    assert out.per_pass > 1.5


def test_every_token_of_a_pass_reads_only_its_own_branch():
    """What the pass says after each token equals a plain pass over the settled text and the tokens it may see."""
    prompt, guesses = some_ids(1, 5)[0].tolist(), [[7, 8], [9, 3]]
    text = Lookahead(MODEL, prompt, 12, window=3, ngram=3, guesses=2)
    text.levels = [[text.levels[0][0], 11, 12], [13, 14, 15]]
    said = text.read(guesses, len(prompt))
    (a, b, c), (d, e, f) = text.levels
    branches = [[a], [a, b], [a, b, c], [a, d], [a, b, e], [a, b, c, f], [a, 7], [a, 7, 8], [a, 9], [a, 9, 3]]
    assert said == [int(MODEL(torch.tensor([prompt + branch]))[0, -1].argmax()) for branch in branches]


def test_what_was_kept_is_remembered_as_if_read_alone():
    prompt = some_ids(1, 5)[0].tolist()
    text = Lookahead(MODEL, prompt, 20, window=2, ngram=4, guesses=3)
    true = generate(MODEL, [prompt], 4, stop=()).ids[0].tolist()
    text.pool = {true[0]: {(1, 2, 3): True, tuple(true[1:4]): True, (true[1], 0, 0): True}}
    made, tokens = text.step()
    assert (made, tokens[:3]) == (3, true[1:4])
    cache = Lookahead(MODEL, prompt + true, 20, 2, 4, 3).cache
    for ours, plain in zip(text.cache, cache):
        assert ours.length == plain.length
        n = plain.length
        torch.testing.assert_close(ours.k[:, :, :n], plain.k[:, :, :n], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.v[:, :, :n], plain.v[:, :, :n], atol=1e-5, rtol=1e-5)


def test_sight_of_two_levels_and_a_guess():
    rows = ["1.......", "11......", "111.....", "1..1....", "11..1...", "111..1..", "1.....1.", "1.....11"]
    assert sight(2, 3, 1).tolist() == [[c == "1" for c in row] for row in rows]


@pytest.mark.parametrize("guess, said, kept", [([5, 6], [5, 6, 7], 2), ([5, 6], [5, 0, 7], 1), ([5, 6], [0, 6, 7], 0)])
def test_a_guess_agrees_up_to_its_first_mistake(guess, said, kept):
    assert agreeing(guess, said, 1) == kept


@pytest.mark.parametrize("wrong", [{"window": 0}, {"ngram": 1}, {"guesses": 0}, {"window": 2.0}, {"guesses": True}])
def test_bad_input_is_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a whole number of at least"):
        lookahead(MODEL, [1], 3, **wrong)
