"""One step of PPO for language, from the questions to the new weights: ours against the same step on transformers.

The other side is the step as one writes it with what transformers offers: its Llama and its generate(), one padded
batch, a plain loop for GAE, torch's AdamW. Both are judged by the same reward model.
"""

import copy

import torch

from bench.contest import Contest, agree, row
from llmrl.lm.training import adamw, pad
from llmrl.policy.group import GroupPlan, collect
from llmrl.policy.token_critic import CriticPlan
from llmrl.rlhf import ppo_language as ppo
from llmrl.rlhf.open_questions import judged_by
from llmrl.rlhf.reward_model import RewardModel
from llmrl.seeds import rng
from llmrl.toy import checkpoints

BETA, STILL = 0.1, 0.0  # the learning rate: all the work is done, and both sides go on drawing from the same model


class Plain:
    """Policy, reference and critic on transformers' Llama, and a step of PPO written down plainly."""

    def __init__(self, model, critic, judge, limit):
        self.policy, self.reference = model.to_transformers(), model.to_transformers()
        self.body, self.head = critic.lm.to_transformers().model, copy.deepcopy(critic.head.weight)
        self.judge, self.limit = judge, limit
        groups = (self.policy.parameters(), [*self.body.parameters(), self.head])
        self.optimizers = [torch.optim.AdamW(list(group), lr=STILL, weight_decay=0.0) for group in groups]

    def logp(self, model, ids, there):
        """Log-probabilities of all tokens but the first.  (B, T) -> (B, T-1)"""
        logp = model(input_ids=ids, attention_mask=there).logits[:, :-1].log_softmax(-1)
        return logp.gather(-1, ids[:, 1:, None]).squeeze(-1)

    def values(self, ids, there):
        return (self.body(input_ids=ids, attention_mask=there).last_hidden_state @ self.head.T)[:, :-1, 0]

    def sample(self, prompts):
        """ids and mask of answers, prompts padded on the left as generate() wants them."""
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
        there = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        with torch.no_grad():
            out = self.policy.generate(
                input_ids=ids, attention_mask=there, max_new_tokens=self.limit, do_sample=True, top_k=0,
                eos_token_id=ppo.IM_END, pad_token_id=0,
            )  # fmt: skip
        said = [row[longest:].tolist() for row in out]
        said = [s[: s.index(ppo.IM_END) + 1] if ppo.IM_END in s else s for s in said]
        return (
            pad([p + s for p, s in zip(prompts, said)]),
            pad([[False] * len(p) + [True] * len(s) for p, s in zip(prompts, said)], False),
            said,
        )

    def step(self, prompts, score):
        ids, mask, said = self.sample(prompts)
        there = torch.where(mask | (ids != 0), 1, 0)
        with torch.no_grad():
            old, ref = self.logp(self.policy, ids, there), self.logp(self.reference, ids, there)
            values = self.values(ids, there)
        answers = [[s[:-1] if s[-1] == ppo.IM_END else s] for s in said]
        scores = torch.tensor(score(answers)).flatten()
        losses = self.losses(ids, mask, (old, ref, values, scores))
        for optimizer, loss in zip(self.optimizers, losses):
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
            optimizer.step()
        return mask.sum().item()

    def losses(self, ids, mask, known):
        """Both losses; known: old and reference log-probabilities, old values (B, T-1), scores (B,)."""
        old, ref, values, scores = known
        told, there = mask[:, 1:], torch.where(mask | (ids != 0), 1, 0)
        adv = torch.zeros_like(values)
        for b, row_told in enumerate(told):
            ahead, later = 0.0, 0.0
            for t in reversed(row_told.nonzero().flatten().tolist()):
                end = t + 1 == len(row_told) or not row_told[t + 1]
                reward = -BETA * (old[b, t] - ref[b, t]) + (scores[b] if end else 0.0)
                ahead = reward + later - values[b, t] + 0.95 * ahead
                later, adv[b, t] = values[b, t], ahead
        ret, chosen = adv + values, adv[told]
        adv = (adv - chosen.mean()) / (chosen.std(correction=0) + 1e-8)
        ratio = (self.logp(self.policy, ids, there) - old).exp()
        objective = torch.minimum(ratio * adv, ratio.clamp(0.8, 1.2) * adv)[told].mean()
        return -objective, (self.values(ids, there) - ret)[told].square().mean() / 2


def agree_on_the_losses(model, critic, plain, plan, ask):
    """On one batch of answers of another policy, so that ratios are not 1."""
    prompts, score = ask(0)
    ids, mask, logp, said = collect(model, prompts, plan.sample, rng(0, "agree"))
    logp, scores = logp + 0.2 * torch.randn(logp.shape, generator=rng(0, "old")), torch.tensor(score(said)).flatten()
    known = ppo.experience((ids, mask, logp), scores, model, critic, plan, BETA)
    ours = ppo.losses(model, critic, known, plan)[:2]
    theirs = plain.losses(ids, mask, (logp, known.ref_logp, known.values, scores))
    for name, a, b in zip(("the policy's loss", "the critic's loss"), ours, theirs):
        agree(name, a.item(), b.item(), 1e-4)


@row("rlhf.ppo_step")
def against_plain(quick):
    """Both ask the same questions, sample, judge, and learn once from all answers."""
    model, questions, limit = checkpoints.load("sft"), 8 if quick else 40, 16 if quick else 64
    judge = RewardModel(model)
    judge.head.weight.data.normal_(0, 0.1, generator=rng(0, "head"))
    critic, ask = ppo.critic_of(judge), judged_by(judge, questions, "bench")
    sample = GroupPlan(10**9, questions, 1, limit, STILL, surrogate=ppo.TOKENS, pieces=3)
    plan, plain = ppo.PPOPlan(sample, CriticPlan(lr=STILL), ppo.Leash(BETA)), Plain(model, critic, judge, limit)
    agree_on_the_losses(model, critic, plain, plan, ask)
    optimizers, turn, tokens = (adamw(model, STILL), adamw(critic, STILL)), iter(range(10**9)), [[], []]

    def ours():
        step = next(turn)
        prompts, score = ask(step)
        ids, mask, logp, said = collect(model, prompts, sample, rng(0, "bench", step))
        known = ppo.experience((ids, mask, logp), torch.tensor(score(said)).flatten(), model, critic, plan, BETA)
        ppo.learn((model, critic), optimizers, known, plan, rng(0, "order", step))
        tokens[0].append(mask.sum().item())

    def theirs():
        tokens[1].append(plain.step(*ask(next(turn))))

    for _ in range(2 if quick else 4):
        ours(), theirs()
    means = [sum(found) / len(found) for found in tokens]
    agree("the tokens of a step, within a third", 0.75 < means[0] / means[1] < 1.33, True)
    note = "tokens generated and learned from; sampling, four models, GAE, both losses, both updates"
    return Contest(ours, theirs, tuple(means), "tokens/s", 1.5, note)
