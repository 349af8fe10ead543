"""The bias of a largest mean is checked against every outcome there is, against lots drawn, and on what is known."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl.max_bias import chosen, double_bias, single_bias
from llmrl.seeds import numpy_rng

ps = st.lists(st.floats(0, 1), min_size=1, max_size=4)


def every_outcome(p, n):
    """The biases by going through every table of successes and failures."""
    single, double = 0.0, 0.0
    for tries in product((0, 1), repeat=len(p) * n):
        table = np.reshape(tries, (len(p), n))
        chance = np.prod(np.where(table, np.array(p)[:, None], 1 - np.array(p)[:, None]))
        means = table.mean(1)
        single += chance * means.max()
        double += chance * np.array(p)[means == means.max()].mean()
    return single - max(p), double - max(p)


@pytest.mark.parametrize(("p", "n"), [([0.5, 0.5], 3), ([0.2, 0.7, 0.6], 3), ([0.9], 2), ([0.0, 1.0, 0.3], 2)])
def test_every_outcome(p, n):
    single, double = every_outcome(p, n)
    assert abs(single_bias(p, n) - single) < 1e-12 and abs(double_bias(p, n) - double) < 1e-12


def test_against_lots():
    p, random = np.array([0.3, 0.5, 0.55, 0.5]), numpy_rng(0, "lots")
    first, second = random.binomial(10, p, (2, 100_000, 4)) / 10
    by = (first + 1e-6 * random.random(first.shape)).argmax(1)
    rated = second[np.arange(len(by)), by]
    for exact, drawn in ((single_bias(p, 10), first.max(1)), (double_bias(p, 10), rated)):
        assert abs(exact - (drawn.mean() - 0.55)) < 4 * drawn.std() / len(drawn) ** 0.5


@given(ps, st.integers(1, 6))
def test_signs(p, n):
    """One set of tries is never too low on average, two are never too high; equal actions make two exactly right."""
    assert single_bias(p, n) >= -1e-12 >= double_bias(p, n) - 1e-11
    assert abs(chosen(p, n).sum() - 1) < 1e-9
    assert abs(double_bias([p[0]] * 3, n)) < 1e-9


def test_more_tries_help():
    biases = [single_bias([0.5] * 10, n) for n in (1, 4, 16, 64)]
    assert (np.diff(biases) < 0).all() and abs(biases[0] - (1 - 2**-10 - 0.5)) < 1e-12


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: single_bias([0.5, 1.2], 3), "chances must be a list of numbers from 0 to 1"),
        (lambda: double_bias([0.5], 0), "n must be a whole number of 1 or more tries"),
    ],
)
def test_bad_input_says_what_to_do(call, says):
    with pytest.raises(ValueError) as error:
        call()
    assert says in str(error.value)
