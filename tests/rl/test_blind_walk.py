"""The memory of random play, and that surprise finds what pays."""

import numpy as np
import pytest

from llmrl.rl.blind_walk import transitions, updates_needed
from llmrl.seeds import numpy_rng


def test_the_memory_is_what_random_play_stores():
    states, right = transitions(4)
    assert np.bincount(states).tolist() == [16, 8, 4, 2] and len(states) == 2 * (2**4 - 1)
    assert all((right[states == s] == 1).mean() == 0.5 for s in range(4))


def test_one_state_is_known_as_soon_as_its_error_is_small():
    needed = updates_needed(1, False, numpy_rng(0, "one"), seeds=50)
    assert 10 < needed.mean() < 60  # about ln(1/0.03) / -ln(0.75) = 12 updates of the right action, half of the draws


def test_surprise_needs_fewer_updates_and_the_more_so_the_longer_the_walk():
    median = lambda k, how: np.median(updates_needed(k, how, numpy_rng(0, k, how), seeds=10))  # noqa: E731
    short, long = (median(k, False) / median(k, True) for k in (2, 5))
    assert long > 2 and long > 1.3 * short


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="one or more states, got 0"):
        transitions(0)
    with pytest.raises(ValueError, match="after 5 updates 2 of 2 walks"):
        updates_needed(3, False, numpy_rng(0, "few"), seeds=2, most=5)
