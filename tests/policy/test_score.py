"""The policy gradient by sum, by autograd, by differences and by episodes; REINFORCE and its baselines."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.policy.baseline import optimal_baseline, sibling_mean
from llmrl.policy.score import differences, policy_gradient, score_sums, softmax_score, to_go, visits, worth
from llmrl.rl.episodes import play
from llmrl.rl.mdp import chain
from llmrl.rl.planning import policy_evaluation, q_from_v
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import gridworld, random_mdp, random_walk, twin_choices

seeds = st.integers(0, 10_000)


def table(mdp, policy, gamma):
    """Everything the theorem needs, exactly."""
    q = q_from_v(mdp.P, mdp.R, policy_evaluation(mdp.P, mdp.R, policy, gamma), gamma)
    return policy_gradient(visits(mdp, policy, gamma), policy, q)


@settings(max_examples=10)
@given(seeds, st.floats(0, 0.97))
def test_the_sum_is_the_gradient(seed, gamma):
    mdp = random_mdp(5, 3, 2, numpy_rng(seed, "world"))
    theta = torch.from_numpy(numpy_rng(seed, "theta").normal(size=(5, 3))).requires_grad_()
    policy = theta.detach().softmax(-1).numpy()
    start = worth(mdp, theta.softmax(-1), gamma)
    assert start.item() == pytest.approx(mdp.start @ policy_evaluation(mdp.P, mdp.R, policy, gamma))
    start.backward()
    found = table(mdp, policy, gamma)
    np.testing.assert_allclose(found, theta.grad, atol=1e-9)
    nudged = differences(lambda t: worth(mdp, t.softmax(-1), gamma), theta.detach())
    np.testing.assert_allclose(found, nudged, atol=1e-5)
    np.testing.assert_allclose(found.sum(-1), 0, atol=1e-9)


def test_every_path_of_a_short_walk_weighed_by_its_chance():
    """The score-function estimate, enumerated: a walk of one state ends after one step."""
    walk, gamma = random_walk(1, -1.0, 2.0), 0.9
    policy = np.array([[0.5, 0.5], [0.3, 0.7], [0.5, 0.5]])
    by_paths = sum(policy[1, a] * r * softmax_score(policy[1])[a] for a, r in ((0, -1.0), (1, 2.0)))
    np.testing.assert_allclose(table(walk, policy, gamma)[1], by_paths)


def test_scores_add_up_to_zero_and_are_what_autograd_says():
    logits = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    rows = torch.autograd.functional.jacobian(lambda z: z.log_softmax(-1), logits)
    policy = logits.detach().softmax(-1).numpy()
    np.testing.assert_allclose(softmax_score(policy), rows)
    np.testing.assert_allclose(policy @ softmax_score(policy), 0, atol=1e-12)


@settings(max_examples=10)
@given(seeds, st.floats(0, 0.95))
def test_visits_are_the_sum_over_time(seed, gamma):
    mdp, random = random_mdp(4, 2, 2, numpy_rng(seed, "world")), numpy_rng(seed, "policy")
    policy = random.dirichlet(np.ones(2), 4)
    to, here, total = chain(mdp, policy)[0], mdp.start, 0.0
    for t in range(600):
        total, here = total + gamma**t * here, here @ to
    np.testing.assert_allclose(visits(mdp, policy, gamma), total, atol=1e-8)


def test_visits_need_a_policy_that_ends_when_nothing_is_discounted():
    grid = gridworld(("S.G",))
    with pytest.raises(ValueError, match="never does"):
        visits(grid, np.array([0, 0, 0]), 1.0)


def test_episodes_are_right_on_average():
    grid = gridworld(("..G", "S.H"), pays={"G": 1.0, "H": -1.0}, cost=0.04, slip=0.1)
    policy = numpy_rng(0, "policy").dirichlet(np.ones(4), 6)
    episodes = play(grid, policy, numpy_rng(0, "episodes"), 4000, 400)
    assert not episodes.truncated.any()
    ret, fade = to_go(episodes, 0.9)
    sums = score_sums(episodes, policy, fade * ret)
    z = (sums.mean(0) - table(grid, policy, 0.9)) / (sums.std(0) / 4000**0.5 + 1e-12)
    assert np.abs(z).max() < 4.5
    plain = score_sums(episodes, policy, fade + 0 * ret)  # a baseline's share: zero on average
    assert np.abs(plain.mean(0) / (plain.std(0) / 4000**0.5 + 1e-12)).max() < 4.5


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_without_the_discount_of_visits_the_twin_choice_is_pushed_the_wrong_way(p):
    twins, gamma = twin_choices(), 0.5
    policy = np.tile([1 - p, p], (6, 1))
    q = q_from_v(twins.P, twins.R, policy_evaluation(twins.P, twins.R, policy, gamma), gamma)
    right, wrong = (policy_gradient(visits(twins, policy, g), policy, q)[[0, 2], 1].sum() for g in (gamma, 1.0))
    assert right == pytest.approx(p * (1 - p) * 0.5625) and wrong == pytest.approx(-p * (1 - p) * 0.75)
    for g, expected in ((gamma, 0.5625 * p), (1.0, 1.5 * p)):
        assert policy_evaluation(twins.P, twins.R, policy, g)[0] == pytest.approx(expected)


def test_the_best_constant_is_best_and_not_the_mean():
    random = numpy_rng(3, "samples")
    scores, earned = torch.from_numpy(random.normal(size=(50, 4))), torch.from_numpy(random.normal(size=50))
    best = optimal_baseline(scores, earned)

    def square(b):
        return (((earned - b)[:, None] * scores) ** 2).sum().item()

    assert all(square(best) < square(b) for b in (best + 0.01, best - 0.01, earned.mean(), 0.0))
    with pytest.raises(ValueError, match="scores must be"):
        optimal_baseline(scores, earned[:-1])
    with pytest.raises(ValueError, match="every score is zero"):
        optimal_baseline(0 * scores, earned)


def test_siblings_leave_one_out():
    ret = torch.tensor([[1.0, 2.0, 6.0], [4.0, 5.0, torch.nan]])
    live = torch.tensor([[True, True, True], [True, True, False]])
    found = sibling_mean(ret, live)
    torch.testing.assert_close(found[0], torch.tensor([4.0, 3.5, 1.5]))
    torch.testing.assert_close(found[1, :2], torch.tensor([5.0, 4.0]))
    assert sibling_mean(torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool)).item() == 0
