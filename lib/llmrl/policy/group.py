r"""Policy gradient on groups: ask each prompt G times, push up what did better than its siblings (GRPO).

DeepSeekMath (Shao et al. 2024, arXiv:2402.03300) in its real parts: rewards compared within a group, the clipped token
ratio against the policy that sampled, an optional KL to a frozen reference per token. The reward is any function of
prompts and answers: a verifier, a reward model, a rule. plan.surrogate makes a relative of it: Dr. GRPO, DAPO, GSPO.
Left out: batches of several collections.

Shapes: P prompts, G answers per prompt, B = P G sequences, T positions.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from llmrl import seeds
from llmrl.lm.decoding import Sampling
from llmrl.lm.generation import generate
from llmrl.lm.logprobs import token_logp
from llmrl.lm.training import adamw, pad, update
from llmrl.policy.surrogate import GRPO, Surrogate, averaged, relative, surrogate
from llmrl.rlhf import kl


@dataclass(frozen=True)
class GroupPlan:
    """The dials of a run."""

    steps: int
    prompts: int = 16  # P
    answers: int = 8  # G
    max_new: int = 48
    lr: float = 5e-4
    epochs: int = 1  # optimizer steps per collection
    beta: float = 0.0  # weight of the KL to the reference
    temperature: float = 1.0
    surrogate: Surrogate = GRPO
    pieces: int = 1  # parts in which answers are read while learning, by length: more parts, less padding


def collect(model, prompts, plan, generator):
    """Sample G answers per prompt.  -> ids (B, T), mask (B, T) True on answers, logp (B, T-1), P lists of G answers"""
    repeated = [prompt for prompt in prompts for _ in range(plan.answers)]
    done = generate(model, repeated, plan.max_new, Sampling(temperature=plan.temperature), generator=generator)
    spoken = [(ids[said].tolist(), logp[said].tolist()) for ids, said, logp in zip(done.ids, done.mask, done.logp)]
    ids = pad([[*prompt, *said] for prompt, (said, _) in zip(repeated, spoken)])
    mask = pad([[False] * len(prompt) + [True] * len(said) for prompt, (said, _) in zip(repeated, spoken)], False)
    logp = pad([[0.0] * (len(prompt) - 1) + logp for prompt, (_, logp) in zip(repeated, spoken)], 0.0)
    answers = done.lists()
    return ids, mask, logp, [answers[i : i + plan.answers] for i in range(0, len(answers), plan.answers)]


def in_pieces(read, ids, mask, pieces=1):
    """read(ids) -> (B, T-1) of rows of like length together, cut behind the longest; 0 behind a piece's longest answer.

    The values on told tokens are those of read(ids), with less padding computed on the way.
    """
    if pieces == 1:
        return read(ids)
    T, ends = ids.shape[1], (mask * torch.arange(1, ids.shape[1] + 1)).amax(1).clamp(min=2)  # (B,)
    order = ends.argsort()
    found = [read(ids[rows, : int(ends[rows].max())]) for rows in order.chunk(pieces)]
    return torch.cat([F.pad(x, (0, T - 1 - x.shape[1])) for x in found])[order.argsort()]


def heard_logp(model, batch, adv, plan):
    """The model's log-probabilities of a batch; without a KL, rows whose advantage is 0 keep the sampler's.  (B, T-1)

    Such a row has an objective of 0 and no gradient, whatever the model says of it, so it need not be read.
    """
    ids, mask, old_logp = batch
    heard = (adv != 0) | (plan.beta > 0)  # (B,)
    if not heard.any():
        heard = torch.ones_like(heard)
    read = in_pieces(lambda rows: token_logp(model(rows), rows), ids[heard], mask[heard], plan.pieces)
    return read if heard.all() else old_logp.clone().index_put((heard,), read)


def loss(model, reference, batch, adv, plan):
    """The surrogate averaged as the plan says, plus the KL's k3 where beta asks for it."""
    ids, mask, old_logp = batch
    logp, told = heard_logp(model, batch, adv, plan), mask[:, 1:]  # (B, T-1)
    objective = surrogate(logp, old_logp, adv, told, plan.surrogate)
    if plan.beta > 0:
        with torch.no_grad():
            ref_logp = in_pieces(lambda rows: token_logp(reference(rows), rows), ids, mask, plan.pieces)
        objective = objective - plan.beta * kl.k3(logp, ref_logp)
    return -averaged(objective, told, plan.surrogate)


def judged(judge, said, plan):
    """The rewards of P lists of G answers.  -> (P, G)"""
    rewards = torch.as_tensor(judge(said), dtype=torch.float32)
    if rewards.shape != (len(said), plan.answers):
        raise ValueError(
            f"judge must return rewards (prompts, answers), here ({len(said)}, {plan.answers}), got "
            f"{tuple(rewards.shape)}: [[reward(a) for a in group] for group in answers]"
        )
    return rewards


def gather(model, ask, plan, step, seed):
    """Sampled and judged, what one step learns from.  -> (ids, mask, logp), rewards (P, G), P lists of G answers"""
    prompts, judge = ask(step)
    ids, mask, logp, said = collect(model, prompts, plan, seeds.rng(seed, "answers", step))
    return (ids, mask, logp), judged(judge, said, plan), said


def train(model, ask, plan, reference=None, seed=0, gather=gather):
    """Yield a record per step: the mean reward, the mean length and the answers.

    ask(step) -> P prompts (lists of ids) and a judge: judge(answers) -> rewards (P, G) for P lists of G answers (ids).
    """
    if plan.beta > 0 and reference is None:
        raise ValueError(f"beta = {plan.beta} weighs a KL to a reference: pass reference=, a frozen copy of the model")
    optimizer = adamw(model, plan.lr)
    for step in range(plan.steps):
        batch, rewards, said = gather(model, ask, plan, step, seed)
        adv = relative(rewards, plan.surrogate).flatten()  # (B,)
        for _ in range(plan.epochs):
            update(model, optimizer, loss(model, reference, batch, adv, plan))
        length = batch[1].sum(1).float().mean().item()
        yield {"step": step, "reward": rewards.mean().item(), "length": length, "answers": said}
