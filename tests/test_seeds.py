"""Streams depend on their seed and on every label, on nothing else, and leave the global generator alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl import seeds

LABELS = st.lists(st.one_of(st.integers(0, 999), st.text("abc ", min_size=1, max_size=4)), max_size=3)


def draw(*key):
    return torch.rand(4, generator=seeds.rng(*key)).tolist()


@given(st.integers(0, 9), LABELS)
def test_a_stream_repeats(seed, labels):
    assert draw(seed, *labels) == draw(seed, *labels)


@given(st.integers(0, 9), LABELS, st.text("xyz", min_size=1, max_size=3))
def test_every_label_and_the_seed_count(seed, labels, more):
    assert draw(seed, *labels) != draw(seed, *labels, more)
    assert draw(seed, *labels) != draw(seed + 1, *labels)


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    draw(0, "anything")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("text", ["-1", "1.5", "one", ""])
def test_a_seed_that_is_none_is_named(monkeypatch, text):
    monkeypatch.setenv("LLMRL_SEED", text)
    with pytest.raises(ValueError, match="LLMRL_SEED must be a whole number of at least 0, got .*unset it"):
        seeds.base_seed()


def test_defaults_and_variables(monkeypatch):
    for name in ("LLMRL_SEED", "LLMRL_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert (seeds.base_seed(), seeds.threads()) == (0, 1)
    monkeypatch.setenv("LLMRL_SEED", "7")
    monkeypatch.setenv("LLMRL_THREADS", "0")
    assert seeds.base_seed() == 7
    with pytest.raises(ValueError, match="LLMRL_THREADS"):
        seeds.threads()


def test_arrays_have_streams_of_their_own():
    first, again = (seeds.numpy_rng(0, "bandit").random(3).tolist() for _ in range(2))
    assert first == again
    assert first != seeds.numpy_rng(1, "bandit").random(3).tolist()
    assert first != seeds.numpy_rng(0, "bandit", "noise").random(3).tolist()
