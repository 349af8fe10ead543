"""The projection of C51 against the published algorithm and by what it conserves; distributions of known returns."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.rl.distributional import atoms, c51_project, cross_entropy, evaluate, expectation
from llmrl.rl.mdp import chain
from llmrl.rl.planning import policy_evaluation
from llmrl.seeds import rng
from llmrl.toy.environments import random_walk


def published(probs, reward, discount, support):
    """Algorithm 1 of the paper, atom by atom, with both neighbours equal where an atom is hit exactly."""
    low, high, gap = support[0].item(), support[-1].item(), (support[1] - support[0]).item()
    found = [0.0] * len(support)
    for p, z in zip(probs.tolist(), support.tolist()):
        b = round((min(max(reward + discount * z, low), high) - low) / gap, 9)
        l, u = math.floor(b), math.ceil(b)
        found[l] += p * (u - b) + p * (l == u)
        found[u] += p * (b - l)
    return found


numbers = st.floats(-4, 4, width=32)


@settings(deadline=None, max_examples=40)
@given(numbers, st.floats(0, 1), st.integers(2, 20), st.integers(0, 9))
def test_projection_is_the_published_algorithm_and_conserves_mass(reward, discount, count, seed):
    support = atoms(-2.0, 3.0, count, torch.float64)
    probs = torch.rand(count, generator=rng(seed, "probs"), dtype=torch.float64)
    probs /= probs.sum()
    found = c51_project(probs, torch.tensor(reward).double(), torch.tensor(discount).double(), support)
    assert found.tolist() == pytest.approx(published(probs, reward, discount, support), abs=1e-6)
    assert found.sum().item() == pytest.approx(1.0) and (found >= 0).all()


@settings(deadline=None, max_examples=40)
@given(st.floats(-1, 1, width=32), st.floats(0, 0.5), st.integers(0, 99))
def test_inside_the_range_the_mean_is_conserved_and_outside_it_is_not(reward, discount, seed):
    support = atoms(-2.0, 2.0, 9, torch.float64)  # reward + discount * z stays inside
    probs = torch.rand(9, generator=rng(seed, "mean"), dtype=torch.float64).softmax(0)
    reward, discount = torch.tensor([reward]).double(), torch.tensor([discount]).double()
    found = c51_project(probs[None], reward, discount, support)
    torch.testing.assert_close(expectation(found, support), reward + discount * expectation(probs, support))
    beyond = c51_project(probs[None], reward + 5, discount, support)
    torch.testing.assert_close(beyond[0, -1], torch.tensor(1.0).double())  # all of it at the edge


def test_the_projection_never_narrows_a_distribution():
    support, probs = atoms(0.0, 4.0, 5), torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]])
    moved = c51_project(probs, torch.tensor([0.5]), torch.tensor([1.0]), support)
    spread = lambda p: expectation(p, (support - expectation(p, support)) ** 2).item()  # noqa: E731
    assert moved.tolist() == [[0.0, 0.25, 0.25, 0.25, 0.25]] and spread(moved) == 1.25 > spread(probs)


def test_after_a_terminated_step_the_whole_mass_lies_at_the_reward():
    support = atoms(-1.0, 1.0, 5)
    found = c51_project(torch.full((1, 5), 0.2), torch.tensor([0.25]), torch.tensor([0.0]), support)
    assert found.tolist() == [[0.0, 0.0, 0.5, 0.5, 0.0]]


def test_any_leading_dimensions():
    support, probs = atoms(-1.0, 1.0, 7), torch.rand(2, 3, 7, generator=rng(0, "many")).softmax(-1)
    rewards, discount = torch.rand(2, 3, generator=rng(0, "r")), torch.rand(2, 3, generator=rng(0, "d"))
    flat = c51_project(probs.reshape(6, 7), rewards.reshape(6), discount.reshape(6), support)
    torch.testing.assert_close(c51_project(probs, rewards, discount, support).reshape(6, 7), flat)


def test_cross_entropy_is_torchs_and_is_least_at_the_target():
    logits, target = torch.randn(4, 6, generator=rng(0, "logits")), torch.rand(4, 6).softmax(-1)
    torch.testing.assert_close(
        cross_entropy(logits, target), torch.nn.functional.cross_entropy(logits, target, reduction="none")
    )
    assert (cross_entropy(logits, target) >= cross_entropy(target.log(), target)).all()


def test_the_mean_of_the_distribution_is_the_value_and_its_shape_is_the_walks():
    mdp = random_walk(3)  # ends pay -1 and 1; with gamma 1 both are atoms, and nothing is blurred
    P, _ = chain(mdp, np.full((5, 2), 0.5))
    R = (mdp.R * mdp.P).sum(1) / np.maximum(mdp.P.sum(1), 1e-12)  # each pair of states has one action between
    support = atoms(-1.0, 1.0, 3, torch.float64)
    found = evaluate(torch.tensor(P), torch.tensor(R), 1.0, support, sweeps=60)
    np.testing.assert_allclose(found[1:4], [[0.75, 0, 0.25], [0.5, 0, 0.5], [0.25, 0, 0.75]], atol=1e-6)
    values = policy_evaluation(mdp.P, mdp.R, np.full((5, 2), 0.5), 1.0)
    np.testing.assert_allclose(expectation(found, support), values, atol=1e-6)


def test_bad_input_is_named():
    support = atoms(0.0, 1.0, 3)
    with pytest.raises(ValueError, match="low < high"):
        atoms(1.0, 1.0, 3)
    with pytest.raises(ValueError, match="2 or more of them, got 0.0, 1.0 and 1"):
        atoms(0.0, 1.0, 1)
    with pytest.raises(ValueError, match=r"one entry per atom, got \(2, 4\) for 3 atoms"):
        c51_project(torch.ones(2, 4), torch.zeros(2), torch.zeros(2), support)
