"""Groups: log-probabilities where they belong, the gradient of the expected reward, TRL's loss on the same batch."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from lm.lively import lively

from llmrl.lm.logprobs import token_logp
from llmrl.lm.model import Config
from llmrl.policy import group
from llmrl.policy.advantages import group_advantage
from llmrl.policy.group import GroupPlan, collect
from llmrl.policy.surrogate import Surrogate, averaged, surrogate
from llmrl.seeds import rng

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13]]
PLAN = GroupPlan(steps=3, prompts=3, answers=4, max_new=9, lr=1e-2)
TINY = Config(vocab=5, width=8, layers=1, heads=2, kv_heads=1, ffn=8, context=8)


def talkative(seed=2):
    """A model that stops now and then, so that answers differ in length."""
    model = lively(seed=seed)
    with torch.no_grad():
        model.embed.weight[4:] *= 0.3
    return model


@pytest.fixture(scope="module")
def collected():
    ids, mask, logp, said = collect(talkative(), PROMPTS, PLAN, rng(0))
    assert len({int(n) for n in mask.sum(1)}) > 3  # the lengths differ, or nothing below means much
    return ids, mask, logp, said


def test_a_row_is_its_prompt_then_its_answer(collected):
    ids, mask, _, said = collected
    rows = [prompt for prompt in PROMPTS for _ in range(4)]
    answers = [answer for answers in said for answer in answers]
    assert [len(answers) for answers in said] == [4, 4, 4]
    for row, spoken, prompt, answer in zip(ids.tolist(), mask.tolist(), rows, answers, strict=True):
        length = sum(spoken)
        assert spoken == [False] * len(prompt) + [True] * length + [False] * (len(row) - len(prompt) - length)
        text = row[len(prompt) : len(prompt) + length]
        assert row[: len(prompt)] == prompt and text in (answer, [*answer, 3])
        assert (text[-1] == 3) or length == PLAN.max_new  # an answer ends with its stop token or at the limit


def test_the_log_probabilities_stand_where_the_model_finds_them(collected):
    ids, mask, logp, _ = collected
    again = token_logp(talkative()(ids), ids)
    told = mask[:, 1:]
    assert logp.shape == told.shape == again.shape
    torch.testing.assert_close(logp[told], again[told], atol=1e-5, rtol=1e-5)
    assert (logp[~told] == 0).all()
    for shift in (-1, 1):  # one place off is far off
        assert (logp.roll(shift, 1)[told] - again[told]).abs().median() > 0.1


def test_the_log_probabilities_are_the_models_own_at_any_temperature():
    model, plan = talkative(), replace(PLAN, temperature=2.0)
    ids, mask, logp, _ = collect(model, PROMPTS, plan, rng(1))
    told = mask[:, 1:]
    torch.testing.assert_close(logp[told], token_logp(model(ids), ids)[told], atol=1e-5, rtol=1e-5)


def test_prompts_may_be_tuples():
    listed, tupled = (collect(talkative(), make, PLAN, rng(0))[0] for make in (PROMPTS, [tuple(p) for p in PROMPTS]))
    assert torch.equal(listed, tupled)


def test_on_the_policy_itself_the_loss_is_minus_the_mean_advantage(collected):
    ids, mask, logp, _ = collected
    adv = torch.randn(12, generator=rng(2))
    found = group.loss(talkative(), None, (ids, mask, logp), adv, PLAN)
    torch.testing.assert_close(found, -adv.mean(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("average", ["answer", "token"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_rows_without_an_advantage_are_not_read_and_are_not_missed(collected, average, pieces, monkeypatch):
    """Loss and gradient of reading every row, from fewer rows; also off the policy that sampled."""
    ids, mask, logp, _ = collected
    adv, plan = torch.zeros(12), replace(PLAN, surrogate=Surrogate(average=average), pieces=pieces)
    adv[[1, 4, 5, 10]] = torch.tensor([1.5, -0.5, 0.7, -2.0])
    policy, seen = talkative(seed=3), []
    told, how = mask[:, 1:], plan.surrogate
    every = -averaged(surrogate(token_logp(policy(ids), ids), logp, adv, told, how), told, how)
    expected = flat_gradient(every, policy)
    monkeypatch.setattr(group, "token_logp", lambda logits, rows: seen.append(len(rows)) or token_logp(logits, rows))
    found = group.loss(policy, None, (ids, mask, logp), adv, plan)
    torch.testing.assert_close(found, every)
    torch.testing.assert_close(flat_gradient(found, policy), expected, atol=1e-6, rtol=1e-4)
    assert sum(seen) == 4
    group.loss(policy, talkative(), (ids, mask, logp), adv, replace(plan, beta=0.1))
    assert sum(seen) == 4 + 2 * 12  # a KL is everybody's


def test_the_kl_of_a_far_reference_is_added_answer_by_answer(collected):
    ids, mask, logp, _ = collected
    policy, reference, told = talkative(), talkative(1), mask[:, 1:]
    with torch.no_grad():
        log_r = token_logp(reference(ids), ids) - token_logp(policy(ids), ids)
    k3 = torch.stack([(d[m].exp() - d[m] - 1).mean() for d, m in zip(log_r, told)]).mean()
    loss = group.loss(policy, reference, (ids, mask, logp), torch.zeros(12), replace(PLAN, beta=0.3))
    torch.testing.assert_close(loss, 0.3 * k3, atol=1e-4, rtol=1e-5)


# Exact enumeration: the reference of every claim below is a sum over all answers.

ANSWERS = [list(answer) for answer in product(range(5), repeat=2)]  # all texts of two tokens
PROMPT = [1, 4]
REWARD = torch.randn(len(ANSWERS), generator=rng(0, "reward"))


def everything():
    """Every answer as a row, with its log-probability token by token under the policy."""
    ids = torch.tensor([PROMPT + answer for answer in ANSWERS])
    mask = torch.tensor([[False, False, True, True]]).expand(len(ANSWERS), 4)
    return ids, mask, token_logp(lively(TINY)(ids), ids).detach()


def flat_gradient(value, model):
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(model.parameters()), retain_graph=True)])


def exact_gradient(model):
    """The gradient of the expected reward, by enumeration."""
    ids, mask, _ = everything()
    return flat_gradient((token_logp(model(ids), ids)[:, 1:].sum(1).exp() * REWARD).sum(), model)


def expected_step(model, adv):
    """The mean over answers drawn from the policy of minus the loss's gradient. adv (answers,)"""
    ids, mask, logp = everything()
    p = logp[:, 1:].sum(1).exp()
    each = [group.loss(model, None, (ids[i : i + 1], mask[i : i + 1], logp[i : i + 1]), adv[i : i + 1], PLAN)
            for i in range(len(ANSWERS))]  # fmt: skip
    return -flat_gradient((p * torch.stack(each)).sum(), model)


def test_all_answers_together_are_certain():
    assert everything()[2][:, 1:].sum(1).exp().sum() == pytest.approx(1.0, abs=1e-5)


def test_the_expected_gradient_is_the_policy_gradient():
    """The loss is a mean over an answer's two tokens, so the gradient is half that of the expected reward."""
    model = lively(TINY)
    torch.testing.assert_close(2 * expected_step(model, REWARD), exact_gradient(model), atol=1e-5, rtol=1e-4)


def test_a_baseline_changes_nothing_in_the_mean():
    model = lively(TINY)
    torch.testing.assert_close(expected_step(model, REWARD - 3.7), expected_step(model, REWARD), atol=1e-5, rtol=1e-4)


def test_the_groups_own_mean_as_baseline_costs_one_answers_share():
    """With G answers per group the centred advantage is (G-1)/G of what it would be: here one half."""
    model, p = lively(TINY), everything()[2][:, 1:].sum(1).exp()
    pairs = torch.cartesian_prod(REWARD, REWARD)  # an answer and the other of its group
    adv = group_advantage(pairs, scale=False)[:, 0].view(len(REWARD), -1) @ p
    torch.testing.assert_close(expected_step(model, adv), expected_step(model, REWARD) / 2, atol=1e-5, rtol=1e-4)


def test_training_finds_the_rewarded_token():
    model, plan = lively(), GroupPlan(steps=40, prompts=2, answers=16, max_new=1, lr=1e-2)

    def judge(answers):
        return [[float(answer == [7]) for answer in group] for group in answers]

    def chance():
        with torch.no_grad():
            return torch.stack([model(torch.tensor([p]))[0, -1].softmax(-1)[7] for p in ([5, 6], [8])])

    with torch.no_grad():
        model.embed.weight[7] *= 0  # not impossible, so that it can be found
    before = chance()
    records = list(group.train(model, lambda step: ([[5, 6], [8]], judge), plan))
    assert (before < 0.5).all() and (chance() > 0.9).all()
    assert records[-1]["reward"] > 0.9 and all(record["length"] == 1 for record in records)


def test_without_a_difference_nothing_is_learned():
    model = lively()
    before = [p.clone() for p in model.parameters()]
    list(group.train(model, lambda step: (PROMPTS, lambda said: torch.full((3, 4), 0.7)), PLAN))
    moved = max((a - b).abs().max().item() for a, b in zip(before, model.parameters()))
    assert moved < 1e-6


def test_a_second_epoch_leaves_the_policy_that_sampled(monkeypatch):
    ratios = []

    def remember(logp, old_logp, adv, mask, how):
        ratios.append((logp - old_logp)[mask].detach())
        return surrogate(logp, old_logp, adv, mask, how)

    monkeypatch.setattr(group, "surrogate", remember)
    plan = replace(PLAN, steps=1, epochs=2, lr=1e-3)
    list(group.train(talkative(), lambda step: (PROMPTS, lambda said: [[len(a) for a in g] for g in said]), plan))
    assert len(ratios) == 2 and not torch.allclose(ratios[0], ratios[1], atol=1e-4)


def test_the_same_seed_gives_the_same_run():
    def run(seed):
        ask = lambda step: (PROMPTS, lambda said: [[len(a) for a in g] for g in said])  # noqa: E731
        return list(group.train(talkative(), ask, PLAN, seed=seed))

    assert run(0) == run(0) != run(1)


def test_a_kl_needs_a_reference():
    with pytest.raises(ValueError, match="beta = 0.1 weighs a KL to a reference: pass reference="):
        next(group.train(lively(), None, replace(PLAN, beta=0.1)))


@pytest.mark.parametrize("rewards", [torch.zeros(4, 3), torch.zeros(12), torch.zeros(3, 1), []])
def test_rewards_of_another_shape_are_refused(rewards):
    """Transposed rewards would pass unseen and reward the wrong answers."""
    with pytest.raises(ValueError, match=r"rewards \(prompts, answers\), here \(3, 4\), got"):
        next(group.train(lively(), lambda step: (PROMPTS, lambda said: rewards), PLAN))


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_trl_computes_the_same_loss(collected, beta, tmp_path):
    from datasets import Dataset
    from tiny import TRL, peer_tokenizer
    from trl import GRPOConfig, GRPOTrainer

    ids, mask, logp, _ = collected
    policy, reference = talkative(3), talkative(1)
    options = {"loss_type": "grpo", "use_bias_correction_kl": False, "per_device_train_batch_size": 4, **TRL}
    trainer = GRPOTrainer(
        model=policy.to_transformers(),
        reward_funcs=lambda completions, **rest: [0.0] * len(completions),
        args=GRPOConfig(output_dir=str(tmp_path), num_generations=4, **options),
        train_dataset=Dataset.from_list([{"prompt": "a"}]),
        processing_class=peer_tokenizer(tmp_path),
    )
    trainer.beta = beta  # given to the trainer it would look for the reference in a folder
    trainer.model.eval()
    adv = group_advantage(torch.randn(3, 4, generator=rng(4))).flatten()
    with torch.no_grad():
        ref_logp = token_logp(reference(ids), ids)
    theirs = trainer.compute_loss(trainer.model, trl_batch(ids, mask, {"old": logp, "ref": ref_logp}, adv))
    ours = group.loss(policy, reference, (ids, mask, logp), adv, replace(PLAN, beta=beta))
    told = mask[:, 1:]
    ratio = (token_logp(policy(ids), ids) - logp)[told].exp()
    assert ((ratio < 0.8) | (ratio > 1.2)).float().mean() > 0.1 and len({int(n) for n in told.sum(1)}) > 3
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)


def trl_batch(ids, mask, logps, adv):
    """The same rows as TRL keeps them: prompts padded on the left, completions on the right."""
    starts, lengths = mask.int().argmax(1), mask.sum(1)
    P, N = int(starts.max()), int(lengths.max())
    prompt = torch.stack([torch.cat([ids.new_zeros(P - s), row[:s]]) for row, s in zip(ids, starts)])
    batch = {"prompt_ids": prompt, "prompt_mask": (torch.arange(P) >= P - starts[:, None]).long(), "advantages": adv}

    def completions(rows, first):
        cut = (torch.cat([row[s : s + n], row.new_zeros(N - n)]) for row, s, n in zip(rows, first, lengths))
        return torch.stack(list(cut))

    batch |= {"completion_ids": completions(ids, starts), "completion_mask": completions(mask.long(), starts)}
    return batch | {f"{name}_per_token_logps": completions(logp, starts - 1) for name, logp in logps.items()}
