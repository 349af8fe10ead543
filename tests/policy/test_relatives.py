"""The relatives: RLOO's run beside TRL's, exact baselines, and a KL in the reward by a double sum."""

from itertools import product

import pytest
import torch

from llmrl.lm.logprobs import token_logp
from llmrl.policy import group_peer
from llmrl.policy.relatives import CISPO, REINFORCE_PP, RLOO, leashed_advantages, leashed_rewards, price
from llmrl.policy.surrogate import GRPO, Surrogate, averaged, ratios, relative, surrogate
from llmrl.toy import checkpoints, tasks

TOLD = torch.tensor([[True, True, True, False], [False, True, False, False]])
LOGP = torch.tensor([[-1.0, -2.0, -0.5, torch.nan], [torch.nan, -3.0, 0.0, torch.inf]])
REF = torch.tensor([[-1.5, -1.0, -0.5, 0.0], [0.0, -3.5, torch.nan, 0.0]])


def test_what_a_token_costs_and_what_the_rest_of_an_answer_costs():
    torch.testing.assert_close(price(LOGP, REF, TOLD), torch.tensor([[0.5, -1.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0]]))
    rewards = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(leashed_rewards(rewards, LOGP, REF, TOLD, 0.5), torch.tensor([1.25, 1.75]))
    expected = torch.tensor([[1.25, 1.5, 1.0, 0.0], [0.0, 1.75, 0.0, 0.0]])
    torch.testing.assert_close(leashed_advantages(rewards, LOGP, REF, TOLD, 0.5), expected)


def test_the_cost_ahead_is_a_double_sum():
    generator = torch.Generator().manual_seed(0)
    logp, ref_logp = -torch.rand(2, 5, 6, generator=generator)
    told, rewards = torch.ones(5, 6, dtype=torch.bool), torch.rand(5, generator=generator)
    found = leashed_advantages(rewards, logp, ref_logp, told, 0.3)
    for b, t in product(range(5), range(6)):
        assert found[b, t].item() == pytest.approx((rewards[b] - 0.3 * (logp - ref_logp)[b, t:].sum()).item(), abs=1e-5)
    torch.testing.assert_close(found[:, 0], leashed_rewards(rewards, logp, ref_logp, told, 0.3))
    torch.testing.assert_close(leashed_advantages(rewards, logp, ref_logp, told, 0.0), rewards[:, None].expand(5, 6))


def mean_step(how, p, answers):
    """The mean over all outcomes of (1/G) sum A (r - p), for two prompts of one difficulty, exactly."""
    total = 0.0
    for outcome in product((0.0, 1.0), repeat=2 * answers):
        rewards = torch.tensor(outcome).view(2, answers)
        chance = torch.where(rewards == 1, p, 1 - p).prod()
        total += chance * (relative(rewards, how) * (rewards - p)).sum() / (2 * answers)
    return total.item()


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_leaving_oneself_out_is_unbiased_and_a_mean_with_oneself_is_too_short(p):
    true = p * (1 - p)
    assert mean_step(RLOO, p, 3) == pytest.approx(true, abs=1e-6)
    assert mean_step(Surrogate(scale=None), p, 3) == pytest.approx(true * 2 / 3, abs=1e-6)
    assert mean_step(Surrogate(scale=None, baseline="batch"), p, 3) == pytest.approx(true * 5 / 6, abs=1e-6)


def test_a_batchs_baseline_gives_a_signal_to_groups_that_agree():
    rewards = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
    assert (relative(rewards, REINFORCE_PP)[0] > 0.5).all() and (relative(rewards, GRPO)[0] == 0).all()


def test_the_weight_is_bounded_above_only():
    old, mask = torch.tensor([[-1.0, -4.0, -0.1]]), torch.ones(1, 3, dtype=torch.bool)
    logp = torch.tensor([[-1.0, -1.0, -9.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(surrogate(logp, old, -torch.ones(1), mask, CISPO).sum(), logp)
    torch.testing.assert_close(slope, torch.tensor([[-1.0, -2.0, -torch.tensor(-8.9).exp()]]))


@pytest.mark.slow
def test_rloo_is_theirs():
    """TRL's RLOOTrainer in a run of its own: its loss in our surrogate, its advantages from its rewards."""
    model, items, judged = checkpoints.load("reasoning_base"), tasks.items("add", 4, "beside TRL", digits=3), []

    def reward(text):
        judged.append(float(len(text) % 3))
        return judged[-1]

    trainer = group_peer.their_trainer(
        model, [item.messages()[:1] for item in items], reward, "RLOO", num_generations=4, num_iterations=3,
        max_steps=3, max_completion_length=40, learning_rate=2e-4, seed=1,
    )  # fmt: skip
    seen = group_peer.watched(trainer)
    for number, (inputs, weights, loss) in enumerate(seen):
        ids, mask, _ = group_peer.as_rows(inputs)
        told, logp, old_logp = mask[:, 1:], *(token_logp(w(ids), ids) for w in (weights, seen[0][1]))
        said = torch.where(told, old_logp, 0.0).sum(1)  # they keep one number per answer: the same, token by token
        torch.testing.assert_close(said, inputs["old_logps"], atol=1e-3, rtol=1e-5)
        objective = surrogate(logp, old_logp, inputs["advantages"], told, RLOO)
        assert -averaged(objective, told, RLOO).item() == pytest.approx(loss, abs=1e-5)
        assert number == 0 or (ratios(logp, old_logp, told, "product")[told] - 1).abs().max() > 0.1
    adv = relative(torch.tensor(judged).view(-1, 4), RLOO).flatten()
    torch.testing.assert_close(inputs["advantages"].sort().values, adv.sort().values, atol=1e-5, rtol=1e-5)
