"""PPO on tokens: GAE per answer against the double sum, where it is GRPO, what the critic learns."""

from itertools import product

import pytest
import torch
from lm.lively import lively

from llmrl.lm.logprobs import token_logp
from llmrl.lm.model import Config
from llmrl.policy.advantages import group_advantage
from llmrl.policy.group import GroupPlan
from llmrl.policy.surrogate import Surrogate, averaged, surrogate
from llmrl.policy.token_critic import Critic, CriticPlan, losses, token_advantages, token_rewards, train, whitened
from llmrl.seeds import rng

TOLD = torch.tensor([[False, True, True, True, False], [False, False, True, False, False], [False] * 5])
TINY = Config(vocab=5, width=8, layers=1, heads=2, kv_heads=1, ffn=8, context=8)
PLAN = GroupPlan(steps=40, prompts=2, answers=16, max_new=1, lr=1e-2)


def test_the_verdict_comes_with_the_last_token():
    paid = token_rewards(torch.tensor([2.0, 3.0, 4.0]), TOLD)
    assert torch.equal(paid, torch.tensor([[0, 0, 0, 2.0, 0], [0, 0, 3.0, 0, 0], [0] * 5]))
    paid = token_rewards(torch.tensor([2.0, 3.0, 4.0]), TOLD, torch.full(TOLD.shape, 0.5))
    assert torch.equal(paid, torch.tensor([[0, -0.5, -0.5, 1.5, 0], [0, 0, 2.5, 0, 0], [0] * 5]))


@pytest.mark.parametrize("gamma, lam", [(1.0, 0.95), (0.9, 0.5), (1.0, 0.0), (1.0, 1.0)])
def test_advantages_are_the_double_sum_of_each_answer_alone(gamma, lam):
    rewards, values = torch.randn(2, 3, 5, generator=rng(0))  # outside of answers, too: nothing leaks in
    adv, ret = token_advantages(torch.where(TOLD, rewards, 0.0), values, TOLD, CriticPlan(gamma=gamma, lam=lam))
    for b, at in enumerate(mask.nonzero().flatten().tolist() for mask in TOLD):
        for t in at:
            delta = lambda u: rewards[b, u] + gamma * values[b, u + 1] * (u < at[-1]) - values[b, u]  # noqa: B023, E731
            expected = sum((gamma * lam) ** (u - t) * delta(u) for u in range(t, at[-1] + 1))
            assert adv[b, t].item() == pytest.approx(expected.item(), abs=1e-5)
    assert torch.equal(ret[TOLD], (adv + values)[TOLD]) and (adv[~TOLD] == 0).all() and (ret[~TOLD] == 0).all()


def test_without_a_critic_and_with_lambda_one_every_token_gets_its_answers_reward():
    rewards = torch.tensor([0.5, -2.0, 1.0])
    adv, _ = token_advantages(token_rewards(rewards, TOLD), torch.zeros(3, 5), TOLD, CriticPlan(lam=1.0))
    assert torch.equal(adv, torch.where(TOLD, rewards[:, None], 0.0))


def test_there_ppo_and_grpo_are_one_loss():
    """Rewards compared within the group, values of zero, lambda = 1: the two lines of code meet."""
    ids, mask = torch.randint(4, (4, 6), generator=rng(1)), torch.arange(6) < torch.tensor([[4], [6], [3], [5]])
    mask[:, :2] = False
    told, model = mask[:, 1:], lively(TINY)
    old_logp = token_logp(lively(TINY, 1)(ids), ids).detach()
    group = group_advantage([[1.0, 0.0, 0.0, 1.0]]).flatten()
    adv, ret = token_advantages(token_rewards(group, told), torch.zeros(4, 5), told, CriticPlan(lam=1.0))
    how = Surrogate(average="token")
    plan = GroupPlan(steps=1, surrogate=how)
    ppo, _ = losses(model, Critic(model), (ids, mask, old_logp), adv, ret, plan)
    grpo = -averaged(surrogate(token_logp(model(ids), ids), old_logp, group, told, how), told, how)
    torch.testing.assert_close(ppo, grpo)


def test_whitening_sees_told_tokens_only():
    x = torch.randn(3, 5, generator=rng(2)) + 4
    found = whitened(torch.where(TOLD, x, torch.nan), TOLD)
    assert found[TOLD].mean().abs() < 1e-5 and found[TOLD].std(correction=0).item() == pytest.approx(1.0, abs=1e-5)
    assert (found[~TOLD] == 0).all()
    assert (whitened(torch.ones(3, 5), TOLD) == 0).all()


def test_the_critic_reads_every_position_and_starts_at_zero():
    ids, critic = torch.randint(5, (2, 6), generator=rng(3)), Critic(lively(TINY))
    assert critic(ids).shape == (2, 6) and (critic(ids) == 0).all()
    torch.nn.init.ones_(critic.head.weight)
    later = ids.clone()
    later[:, 4:] = (later[:, 4:] + 1) % 5
    assert torch.equal(critic(ids)[:, :4], critic(later)[:, :4])  # a value knows the past only


@pytest.mark.parametrize("pieces", [2, 3, 4])
def test_pieces_change_nothing_but_the_padding(pieces):
    ids, mask = torch.randint(4, (4, 7), generator=rng(5)), torch.arange(7) < torch.tensor([[4], [7], [3], [5]])
    mask[:, :2] = False
    mask[2, 2] = False  # an answer without tokens
    model, critic = lively(TINY), Critic(lively(TINY))
    torch.nn.init.ones_(critic.head.weight)
    adv, ret = torch.randn(2, 4, 6, generator=rng(6))
    found = []
    for cut in (1, pieces):
        both = losses(model, critic, (ids, mask, torch.zeros(4, 6)), adv, ret, GroupPlan(steps=1, pieces=cut))
        slopes = [
            torch.cat(
                [g.flatten() for g in torch.autograd.grad(x, list(m.parameters()), allow_unused=True) if g is not None]
            )
            for x, m in zip(both, (model, critic))
        ]
        found.append([*both, *slopes])
    for whole, cut in zip(*found):
        torch.testing.assert_close(cut, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_the_critic_learns_what_the_policy_earns():
    """Against the sum over all answers of two tokens; the policy stands still."""
    reward = {answer: float(torch.randn(1, generator=rng(4, *answer))) for answer in product(range(5), repeat=2)}

    def ask(step):
        return [[1, 4]], lambda said: [[reward.get(tuple(a), 0.0) for a in group] for group in said]

    model = lively(TINY)
    critic, plan = Critic(model), GroupPlan(steps=150, prompts=1, answers=64, max_new=2, lr=0.0)
    losses_seen = [record["value_loss"] for record in train(model, critic, ask, plan, CriticPlan(lr=3e-2), seed=0)]
    with torch.no_grad():
        first = model(torch.tensor([[1, 4]]))[0, -1].softmax(-1)
        second = model(torch.tensor([[1, 4, a] for a in range(5)]))[:, -1].softmax(-1)
        found = critic(torch.tensor([[1, 4, a] for a in range(5)]))
    stop, worth = 3, torch.zeros(5)
    for a, b in product(range(5), repeat=2):
        said = (a,) if b == stop else (a, b)
        worth[a] += second[a, b] * (0.0 if a == stop else reward.get(said, 0.0))
    assert found[0, 1].item() == pytest.approx((first @ worth).item(), abs=0.2)
    often = first > 0.15
    often[stop] = False
    assert often.any() and (found[:, 2] - worth)[often].abs().max() < 0.35
    assert sum(losses_seen[-10:]) < sum(losses_seen[:10])


def test_training_finds_the_rewarded_token():
    model = lively()
    with torch.no_grad():
        model.embed.weight[7] *= 0

    def judge(answers):
        return [[float(answer == [7]) for answer in group] for group in answers]

    records = list(train(model, Critic(model), lambda step: ([[5, 6], [8]], judge), PLAN))
    assert records[0]["reward"] < 0.5 and records[-1]["reward"] > 0.9
    with pytest.raises(ValueError, match=r"judge must return rewards \(prompts, answers\), here \(2, 16\)"):
        next(train(model, Critic(model), lambda step: ([[5, 6], [8]], lambda said: [1.0]), PLAN))
