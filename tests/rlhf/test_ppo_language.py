"""PPO for language: what a token is paid, and its first step against the gradient of an enumerated objective."""

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lm.lively import lively

from llmrl.lm.logprobs import token_logp
from llmrl.lm.model import Config
from llmrl.policy import ppo as ppo_on_states
from llmrl.policy import token_critic
from llmrl.policy.group import GroupPlan
from llmrl.policy.token_critic import Critic, CriticPlan, whitened
from llmrl.preference import exact
from llmrl.rlhf import every_answer, ppo_language
from llmrl.rlhf.controller import next_price
from llmrl.rlhf.ppo_language import Leash, PPOPlan, finished, paid, train, verdict
from llmrl.rlhf.reward_model import RewardModel
from llmrl.seeds import rng

TINY = Config(vocab=5, width=16, layers=1, heads=2, kv_heads=1, ffn=16, context=8)
STOP, PROMPT, BETA = 3, [1, 4], 0.3
TOLD = torch.tensor([[False, True, True, True, False], [False, False, True, False, False]])
SAMPLE = GroupPlan(steps=2, prompts=1, answers=64, max_new=2, lr=1e-2, surrogate=ppo_language.TOKENS)


def world(longest=3, seed=0):
    """A policy, another reference, all answers with one reward each; in float64."""
    model, reference = lively(TINY, seed).double(), lively(TINY, seed + 1).double()
    answers = every_answer.every_answer(5, longest)
    ids, mask = every_answer.laid_out(PROMPT, answers)
    reward = torch.randn(len(answers), generator=rng(seed, "reward")).double()
    return model, reference, ids, mask, reward, answers


def slope(value, model):
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(model.parameters()))])


def test_every_answer_is_listed_once_and_their_probabilities_add_up():
    model, _, ids, mask, _, answers = world()
    assert len(answers) == 1 + 4 + 16 + 64 == len(set(map(tuple, answers)))
    assert every_answer.answer_logp(model, ids, mask).exp().sum().item() == pytest.approx(1, abs=1e-12)
    with pytest.raises(ValueError, match="512 .. 3 answers would have to be listed"):
        every_answer.every_answer(512, 3)


def test_a_token_pays_for_its_own_step_and_the_verdict_comes_with_the_last():
    logp, ref_logp = torch.full((2, 5), -1.0), torch.tensor([[-1.0, -3.0, -1.0, -0.5, 9.0]]).expand(2, 5)
    found = paid(torch.tensor([2.0, 1.0]), logp, ref_logp, TOLD, 0.1)
    expected = torch.tensor([[0, -0.2, 0, 2.05, 0], [0, 0, 1.0, 0, 0]])
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="pays the policy for running away"):
        paid(torch.tensor([2.0, 1.0]), logp, ref_logp, TOLD, -0.1)


def test_what_an_answer_is_paid_is_its_verdict_less_its_whole_log_ratio():
    logp, ref_logp = torch.randn(2, 2, 5, generator=rng(0)).unbind()
    total = paid(torch.tensor([2.0, 1.0]), logp, ref_logp, TOLD, 0.7).sum(1)
    ratio = torch.where(TOLD, logp - ref_logp, 0.0).sum(1)
    torch.testing.assert_close(total, torch.tensor([2.0, 1.0]) - 0.7 * ratio)


def test_an_answer_without_an_end_token_is_fined_and_scores_are_cut():
    ids = torch.tensor([[STOP, 5, 7, STOP], [STOP, 5, 7, 8]])
    mask = torch.tensor([[False, False, True, True]]).expand(2, 4)
    ended = finished(ids, mask)
    assert ended.tolist() == [True, False]  # the end token of the prompt does not count
    scores = torch.tensor([9.0, 9.0])
    assert verdict(scores, ended).tolist() == [9, 9]
    assert verdict(scores, ended, Leash(unfinished=1.0, extreme=5.0)).tolist() == [5, 4]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_first_step_climbs_the_regularised_objective_whatever_the_critic_says(seed):
    model, reference, ids, mask, reward, _ = world(seed=seed)
    truth = slope(every_answer.objective(model, reference, ids, mask, reward, BETA), model)
    payment = every_answer.payments(model, reference, ids, mask, reward, BETA)
    critic = lively(TINY, 7).double()  # any function of the past will do as a baseline
    values = critic(ids)[:, :-1, 2].detach()
    plan = CriticPlan(lam=1.0)
    for guess in (torch.zeros_like(values), values):
        found = slope(every_answer.expected_surrogate(model, payment, guess, ids, mask, plan), model)
        torch.testing.assert_close(found, truth, atol=1e-9, rtol=0)
    believed = slope(every_answer.expected_surrogate(model, payment, values, ids, mask, CriticPlan(lam=0.5)), model)
    assert (believed - truth).norm() > 0.05 * truth.norm()  # lambda below 1 trusts a critic that is wrong
    no_price = every_answer.payments(model, reference, ids, mask, reward, 0.0)
    free = slope(every_answer.expected_surrogate(model, no_price, values, ids, mask, plan), model)
    assert (free - truth).norm() > 0.05 * truth.norm()
    peeking = model(ids)[:, 1:, 2].detach()  # sees the token it is to judge: no baseline
    found = slope(every_answer.expected_surrogate(model, payment, peeking, ids, mask, plan), model)
    assert (found - truth).norm() > 0.05 * truth.norm()


def test_the_shortfall_is_the_gap_to_the_gibbs_policy():
    model, reference, ids, mask, reward, _ = world()
    with torch.no_grad():
        ref_logp = every_answer.answer_logp(reference, ids, mask)
        best = BETA * exact.log_partition(ref_logp, reward, BETA)
        gap = best - every_answer.objective(model, reference, ids, mask, reward, BETA)
    found = every_answer.shortfall(model, reference, ids, mask, reward, BETA)
    torch.testing.assert_close(found, gap)
    same = every_answer.objective(reference, reference, ids, mask, reward, BETA)
    torch.testing.assert_close(same, (ref_logp.exp() * reward).sum())


def known(model, critic, reference, plan, seed=0):
    """Experience of one batch in the tiny world, judged by the number of tokens 4."""
    from llmrl.policy.group import collect

    ids, mask, logp, said = collect(model, [PROMPT], plan.sample, rng(seed, "answers"))
    scores = torch.tensor([float(answer.count(4)) for answer in said[0]])
    return ppo_language.experience((ids, mask, logp), scores, reference, critic, plan, plan.leash.beta)


def test_experience_is_what_four_models_say():
    model, reference, critic = lively(TINY), lively(TINY, 1), Critic(lively(TINY, 2))
    torch.nn.init.ones_(critic.head.weight)
    plan = PPOPlan(replace(SAMPLE, pieces=2), CriticPlan(lam=1.0, whiten=False), Leash(beta=0.2, unfinished=1.0))
    found = known(model, critic, reference, plan)
    told = found.told
    torch.testing.assert_close(found.logp[told], token_logp(model(found.ids), found.ids)[told], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.ref_logp[told], token_logp(reference(found.ids), found.ids)[told])
    torch.testing.assert_close(found.values[told], critic(found.ids)[:, :-1][told])
    count, ended = (found.ids == 4)[:, 2:].sum(1), (found.ids == STOP).any(1)
    torch.testing.assert_close(found.verdicts, count.float() - (~ended).float())
    to_go = found.verdicts - 0.2 * torch.where(told, found.logp - found.ref_logp, 0.0).sum(1)
    torch.testing.assert_close(found.ret[:, 1], to_go)  # at the first token everything is still to come
    torch.testing.assert_close(found.adv[told], (found.ret - found.values)[told])
    white = ppo_language.experience(
        (found.ids, found.mask, found.logp), count.float(), reference, critic, PPOPlan(SAMPLE), 0.0
    )
    assert white.adv[told].mean().abs() < 1e-5


def test_the_losses_are_those_of_ppo_on_tokens_and_the_value_may_be_clipped():
    model, reference, critic = lively(TINY), lively(TINY, 1), Critic(lively(TINY, 2))
    plan = PPOPlan(SAMPLE, CriticPlan(lam=0.9))
    found = known(model, critic, reference, plan)
    moved, judge = lively(TINY, 5), copy.deepcopy(critic)
    torch.nn.init.ones_(judge.head.weight)
    theirs = token_critic.losses(moved, judge, (found.ids, found.mask, found.logp), found.adv, found.ret, plan.sample)
    policy_loss, value_error, cut = ppo_language.losses(moved, judge, found, plan)
    torch.testing.assert_close(torch.stack([policy_loss, value_error]), torch.stack(theirs))
    assert 0 < cut.float().mean() < 1 and cut.shape == (int(found.told.sum()),)
    clipped = ppo_language.losses(moved, judge, found, replace(plan, value_clip=0.1))[1]
    each = ppo_on_states.value_loss(judge(found.ids)[:, :-1], found.values, found.ret, 0.1)[found.told].mean() / 2
    torch.testing.assert_close(clipped, each)
    assert clipped > value_error


def test_only_policy_and_critic_learn_and_every_batch_is_counted_once():
    model, reference, critic = lively(TINY), lively(TINY), Critic(lively(TINY))
    before = [copy.deepcopy(m.state_dict()) for m in (model, critic, reference)]
    seen = []

    def ask(step):
        return [PROMPT], lambda said: [[float(len(answer)) for answer in group] for group in said]

    plan = PPOPlan(replace(SAMPLE, epochs=2), minibatches=4, mix=0.5)
    records = list(train(model, critic, reference, ask, plan, mixed=lambda m, step: seen.append(step) or m(
        torch.tensor([PROMPT])).square().mean()))  # fmt: skip
    assert seen == [0] * 8 + [1] * 8  # two epochs of four steps
    moved = [any((state[k] != m.state_dict()[k]).any() for k in state)
             for state, m in zip(before, (model, critic, reference))]  # fmt: skip
    assert moved == [True, True, False]
    assert records[0]["kl"] == pytest.approx(0, abs=1e-5) and records[0]["beta"] == Leash().beta
    assert set(records[0]) >= {"reward", "kl", "length", "ended", "foreseen", "value_loss", "clipped", "mixed"}
    with pytest.raises(ValueError, match="give both or neither"):
        next(train(model, critic, reference, ask, plan))


def test_a_price_on_moving_keeps_the_policy_nearer():
    def ask(step):
        return [PROMPT], lambda said: [[float(answer.count(4)) for answer in group] for group in said]

    nats = {}
    for beta in (0.0, 5.0):
        model, reference = lively(TINY), lively(TINY)
        plan = PPOPlan(replace(SAMPLE, steps=8, lr=2e-2), CriticPlan(lam=1.0), Leash(beta=beta))
        nats[beta] = list(train(model, Critic(model), reference, ask, plan))[-1]["kl"]
    assert nats[5.0] < 0.5 * nats[0.0]


def test_the_critic_begins_as_the_reward_model():
    judge = RewardModel(lively(TINY))
    torch.nn.init.ones_(judge.head.weight)
    ids = torch.tensor([[1, 4, 2, 0], [0, 1, 2, 3]])
    torch.testing.assert_close(ppo_language.critic_of(judge)(ids)[:, -1], judge(ids, torch.ones_like(ids).bool()))


@pytest.mark.slow
def test_ppo_ends_near_the_gibbs_policy():
    """No step of it knows the optimum, which is computed from all 85 answers."""
    reference = lively(TINY)
    model, beta = copy.deepcopy(reference), 0.5
    answers = every_answer.every_answer(5, 3)
    ids, mask = every_answer.laid_out(PROMPT, answers)
    reward = {tuple(a): float(torch.randn((), generator=rng(0, *a))) for a in answers}
    table = torch.tensor([reward[tuple(a)] for a in answers])

    def ask(step):
        score = lambda a: reward[tuple(a) if len(a) == 3 else (*a, STOP)]  # noqa: E731
        return [PROMPT], lambda said: [[score(a) for a in group] for group in said]

    sample = replace(SAMPLE, steps=120, answers=256, max_new=3, epochs=2)
    plan = PPOPlan(sample, CriticPlan(lr=1e-2, lam=1.0), Leash(beta=beta))
    before = every_answer.shortfall(model, reference, ids, mask, table, beta)
    for _ in train(model, Critic(model), reference, ask, plan):
        pass
    after = every_answer.shortfall(model, reference, ids, mask, table, beta)
    assert after < 0.1 * before


@given(st.floats(1e-4, 10), st.floats(0, 1e6), st.floats(1e-3, 100))
def test_the_price_follows_the_distance(beta, nats, target):
    after = next_price(beta, nats, target)
    assert 0.98 * beta - 1e-9 <= after <= 1.02 * beta + 1e-9
    assert (after > beta) == (nats > target) or abs(nats / target - 1) < 1e-9
    assert next_price(beta, target * 1.1, target) == pytest.approx(beta * 1.01)


@pytest.mark.parametrize("kw", [{"beta": 0.0}, {"target": 0.0}, {"gain": -1.0}, {"gain": 5.0, "most": 0.3}])
def test_prices_that_lead_nowhere_are_refused(kw):
    with pytest.raises(ValueError, match="a price that reaches 0 stays there"):
        next_price(**{"beta": 0.1, "kl": 1.0, "target": 1.0} | kw)


def test_a_leash_names_what_does_not_fit():
    with pytest.raises(ValueError, match="for it to follow"):
        Leash(beta=0.0, target=3.0)
    assert whitened(torch.ones(2, 5), TOLD).sum() == 0
