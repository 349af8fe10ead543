"""TRPO's parts against matrices that are written down, and a step against sb3-contrib's."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.policy import trpo
from llmrl.policy.evolution import actor_parameters
from llmrl.policy.heads import Gaussian
from llmrl.policy.networks import ActorCritic
from llmrl.policy.trpo import TrustRegion, conjugate_gradient, fisher_product, flat
from llmrl.seeds import rng


def small(learners=1, head=None, seed=0, dtype=torch.float64):
    kind = {} if head is None else {"head": head}
    network = ActorCritic(3, 2, (4,), learners=learners, generator=rng(seed, "weights"), **kind).to(dtype)
    states = torch.randn(learners, 50, 3, generator=rng(seed, "states"), dtype=dtype)
    with torch.no_grad():
        actions = network.policy(states).sample(rng(seed, "actions"))
    drift = actions.to(dtype).reshape(learners, 50, -1)[..., 0] * states[..., 0]
    adv = torch.randn(learners, 50, generator=rng(seed, "adv"), dtype=dtype) + drift
    live = torch.rand(learners, 50, generator=rng(seed, "live")) < 0.9
    return network, (states, actions, adv, live)


def kl_now(network, states, live):
    old = trpo.remembered(network.policy(states))
    return trpo.masked_mean(old.kl(network.policy(states)), live, 1)


def dense_fisher(network, states, live):
    r"""The mean over states of $\sum_a\pi(a)\nabla\log\pi(a)\nabla\log\pi(a)^\top$, one score at a time."""
    parameters = actor_parameters(network)
    total = 0.0
    for state in states[0][live[0]]:
        for action in range(2):
            logp = network.policy(state[None, None]).logps()[0, 0, action]
            score = flat(torch.autograd.grad(logp, parameters))[0]
            total = total + logp.exp().detach() * torch.outer(score, score)
    return total / live.sum()


def test_the_product_is_that_of_the_dense_matrix():
    network, (states, _, _, live) = small()
    fisher = dense_fisher(network, states, live)
    product = fisher_product(kl_now(network, states, live), actor_parameters(network))
    for n in range(3):
        v = torch.randn(1, len(fisher), generator=rng(n), dtype=torch.float64)
        torch.testing.assert_close(product(v)[0], fisher @ v[0])


def test_a_gaussian_s_fisher_matrix_by_hand():
    """F is 1/sigma^2 for the mean and 2 for the logarithm of the width."""
    mean, log_std = torch.zeros(1, 1, requires_grad=True), torch.full((1, 1), math.log(0.5), requires_grad=True)
    old = Gaussian(mean.detach()[None], log_std.detach()[None])
    kl = old.kl(Gaussian(mean[None], log_std[None])).mean(1)
    product = fisher_product(kl, [mean, log_std])
    torch.testing.assert_close(product(torch.tensor([[1.0, 3.0]])), torch.tensor([[4.0, 6.0]]))


@given(st.integers(1, 8), st.integers(0, 10**6))
def test_conjugate_gradients_solve(size, seed):
    root = torch.randn(3, size, size, generator=rng(seed), dtype=torch.float64)
    matrix = root @ root.mT + 0.1 * torch.eye(size, dtype=torch.float64)
    b = torch.randn(3, size, generator=rng(seed, "b"), dtype=torch.float64)
    b[1] = 0.0

    def product(v):
        return (matrix @ v[..., None])[..., 0]

    solved = conjugate_gradient(product, b, rounds=5 * size, tol=1e-20)
    torch.testing.assert_close(solved, torch.linalg.solve(matrix, b), rtol=1e-4, atol=1e-6)
    assert (solved[1] == 0).all()
    alone = conjugate_gradient(lambda v: matrix[0] @ v, b[0], rounds=5 * size, tol=1e-20)
    torch.testing.assert_close(alone, solved[0], rtol=1e-4, atol=1e-6)


def test_two_rounds_solve_two_equations():
    matrix, b = torch.tensor([[4.0, 1.0], [1.0, 3.0]]), torch.tensor([1.0, 2.0])
    torch.testing.assert_close(conjugate_gradient(lambda v: matrix @ v, b, 1), torch.tensor([0.25, 0.5]))
    torch.testing.assert_close(conjugate_gradient(lambda v: matrix @ v, b, 2), torch.tensor([1 / 11, 7 / 11]))


def test_a_full_step_is_as_long_as_the_bowl_allows():
    direction, bent = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 0.5], [0.0, 0.0]])
    full = trpo.full_step(direction, bent, 0.02)
    scale = full[0, 0]
    assert scale**2 * 4.0 / 2 == pytest.approx(0.02) and (full[1] == 0).all()


@pytest.mark.parametrize("head", [None, Gaussian])
@pytest.mark.parametrize("bound", [1e-3, 0.01, 0.3])
def test_a_step_obeys_the_bound_and_gains(head, bound):
    network, batch = small(3, head)
    old = trpo.remembered(network.policy(batch[0]))
    found = trpo.step(network.policy, actor_parameters(network), *batch, TrustRegion(bound, damping=1e-3))
    gain, kl = trpo.gain_and_kl(network.policy(batch[0]), old, *batch[1:])
    before = trpo.masked_mean(batch[2], batch[3], 1)
    assert (kl <= bound).all() and (gain > before).all() and (kl > bound / 20).all()
    torch.testing.assert_close(found["kl"], kl.detach())
    torch.testing.assert_close(found["gain"], (gain - before).detach())


def test_the_old_policy_stays_where_it_was():
    """The width of a Gaussian is a parameter: a view of it would follow the update, and every KL would be 0."""
    network, (states, *_) = small(1, Gaussian)
    with torch.no_grad():
        seen, kept = network.policy(states), trpo.remembered(network.policy(states))
        network.log_std += 1.0
    assert (kept.log_std == 0).all() and (seen.log_std == 1).all()


def test_learners_side_by_side_are_what_each_is_alone():
    together, batch = small(3)
    alone = [small(1)[0] for _ in range(3)]
    for k, one in enumerate(alone):
        for a, b in zip(one.parameters(), together.parameters()):
            a.data = b.data[k : k + 1].clone()
    trpo.step(together.policy, actor_parameters(together), *batch)
    for k, one in enumerate(alone):
        trpo.step(one.policy, actor_parameters(one), *(x[k : k + 1] for x in batch))
        expected = flat(actor_parameters(together))[k : k + 1]
        torch.testing.assert_close(flat(actor_parameters(one)), expected, rtol=1e-6, atol=1e-8)


def test_a_step_that_never_helps_is_taken_back():
    network, batch = small(2)
    parameters = actor_parameters(network)
    start = flat(parameters).clone()
    full = torch.ones_like(start)

    def look():
        moved = (flat(parameters) - start).abs().sum(1).detach()
        return -moved, 0 * moved

    found = trpo.line_search(look, parameters, full, TrustRegion(tries=4))
    assert (flat(parameters) == start).all() and (found["gain"] == 0).all() and (found["tries"] == 4).all()


def test_the_search_stops_at_the_first_length_that_obeys():
    point = torch.nn.Parameter(torch.zeros(3, 1))

    def look():
        x = point[:, 0] + 0
        return x, x**2 / 2

    full = torch.tensor([[0.1], [0.2], [1.0]])
    found = trpo.line_search(look, [point], full, TrustRegion(bound=0.01, shrink=0.5))
    torch.testing.assert_close(point.detach(), torch.tensor([[0.1], [0.1], [0.125]]))  # 1, 1/2, 1/8 of the full step
    assert found["tries"].tolist() == [1, 2, 4]


def test_nothing_to_gain_moves_nothing():
    network, (states, actions, adv, live) = small(2)
    start = flat(actor_parameters(network)).clone()
    found = trpo.step(network.policy, actor_parameters(network), states, actions, 0 * adv, live)
    assert (flat(actor_parameters(network)) == start).all() and (found["kl"] == 0).all()


@pytest.mark.parametrize("wrong", [{"bound": 0.0}, {"damping": -1.0}, {"shrink": 1.0}, {"tries": 0}, {"solve": 0}])
def test_dials_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="a trust region needs bound > 0"):
        TrustRegion(**wrong)


@pytest.mark.slow
def test_a_step_equals_the_peer_s(monkeypatch):
    """Same weights, same steps. Its solver starts at random noise of 1e-4, which is taken away here."""
    import gymnasium
    from sb3_contrib import TRPO
    from sb3_contrib.common import utils

    from llmrl.policy.peer import from_sb3, their_update

    monkeypatch.setattr(utils.th, "randn_like", torch.zeros_like)
    model = TRPO("MlpPolicy", gymnasium.make("CartPole-v1"), n_critic_updates=1, seed=0, device="cpu")
    network = from_sb3(model.policy)
    states = torch.randn(500, 4, generator=rng(0, "s"))
    with torch.no_grad():
        dist = network.policy(states[None])
        actions = dist.sample(rng(0, "a"))
        old_logp = dist.logp(actions)[0]
    adv = torch.randn(500, generator=rng(0, "d")) + actions[0] * states[:, 0]
    their_update(model, states, actions[0].float()[:, None], adv, torch.zeros(500), old_logp)
    scaled = (adv - adv.mean()) / (adv.std() + 1e-8)
    before = flat(actor_parameters(network)).clone()
    config = TrustRegion(solve=15)
    trpo.step(network.policy, actor_parameters(network), states[None], actions, scaled[None],
              torch.ones(1, 500, dtype=torch.bool), config)  # fmt: skip
    ours, theirs = flat(actor_parameters(network)), flat(actor_parameters(from_sb3(model.policy)))
    moved = (ours - before).abs().max()
    assert moved > 1e-3 and (ours - theirs).abs().max() < 1e-3 * moved
    assert np.isfinite(theirs.detach().numpy()).all()
