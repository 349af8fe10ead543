r"""PPO for language from human feedback: answer, be judged, pay for every step away from the reference, learn.

Ziegler et al. (2019, arXiv:1909.08593) and Ouyang et al. (2022, arXiv:2203.02155). Four models take part: the policy
writes answers, a reward model judges them whole, the reference, a frozen copy of where the policy began, names the
price of every token, $-\beta(\log\pi-\log\pi_{ref})$, and the critic foresees what is still to come. From there on it
is PPO on tokens, as llmrl.policy.token_critic has it. The reward model enters as the judge that `ask` returns.
Left out: several batches in flight, a critic that shares layers with the policy.

Shapes: P prompts, G answers each, B = P G sequences, T positions.
"""

from dataclasses import dataclass, fields

import torch

from llmrl import seeds
from llmrl.lm.generation import IM_END
from llmrl.lm.logprobs import masked_mean, token_logp
from llmrl.lm.training import adamw, update
from llmrl.policy import dials, group
from llmrl.policy.group import GroupPlan, in_pieces
from llmrl.policy.ppo import value_loss
from llmrl.policy.surrogate import Surrogate, averaged, surrogate
from llmrl.policy.token_critic import Critic, CriticPlan, foreseen, token_advantages, token_rewards, whitened
from llmrl.rlhf import kl
from llmrl.rlhf.controller import next_price

TOKENS = Surrogate(average="token")  # PPO's usual average: every token weighs the same


@dataclass(frozen=True)
class Leash:
    """What is paid besides the verdict."""

    beta: float = 0.05  # reward taken off per nat that a token moved away from the reference
    target: float | None = None  # nats per answer that are wanted; None: beta stays what it is
    gain: float = 0.1  # K, how hard the price follows
    unfinished: float = 0.0  # taken off the verdict of an answer that was cut before its end token
    extreme: float | None = None  # verdicts are cut to [-extreme, extreme]

    def __post_init__(self):
        if self.beta < 0 or (self.target is not None and not (self.target > 0 and self.beta > 0)):
            raise ValueError(
                f"beta must be at least 0, and above 0 with a target above 0 for it to follow, got beta {self.beta} "
                f"and target {self.target}"
            )


@dataclass(frozen=True)
class PPOPlan:
    """A whole run."""

    sample: GroupPlan  # steps, prompts, answers, lengths, the policy's lr, epochs
    critic: CriticPlan = CriticPlan()
    leash: Leash = Leash()
    minibatches: int = 1  # optimizer steps per epoch
    value_clip: float | None = None  # how far the critic may move from its old value
    mix: float = 0.0  # weight of the loss that is mixed in (PPO-ptx)


@dataclass(frozen=True, eq=False)
class Experience:
    """What the four models said about the answers of one step.  (B, T), from logp on (B, T-1), verdicts (B,)"""

    ids: torch.Tensor
    mask: torch.Tensor  # True on tokens of answers
    logp: torch.Tensor
    ref_logp: torch.Tensor
    values: torch.Tensor  # before each token
    adv: torch.Tensor
    ret: torch.Tensor
    verdicts: torch.Tensor

    @property
    def told(self):
        return self.mask[:, 1:]

    def rows(self, index):
        """Some of the answers."""
        return Experience(*(getattr(self, field.name)[index] for field in fields(self)))


def critic_of(judge):
    """A critic that begins as the reward model: its layers, its head, read at every position."""
    critic = Critic(judge.lm)
    critic.head.load_state_dict(judge.head.state_dict())
    return critic


def finished(ids, mask, stop=IM_END):
    """Whether an answer was ended by its own end token.  ids, mask (B, T) -> (B,)"""
    return ((ids == stop) & mask).any(1)


def verdict(scores, ended, leash=Leash()):
    """A score cut to what is believed, less for an answer without an end.  scores, ended (B,) -> (B,)"""
    if leash.extreme is not None:
        scores = scores.clamp(-leash.extreme, leash.extreme)
    return torch.where(ended, scores, scores - leash.unfinished)


def paid(verdicts, logp, ref_logp, told, beta):
    r"""$r_t=-\beta(\log\pi-\log\pi_{ref})$, on the last token plus the verdict.  (B,), then (B, T-1) -> (B, T-1)"""
    if beta < 0:
        raise ValueError(f"beta must be at least 0, got {beta}: a negative price pays the policy for running away")
    return token_rewards(verdicts, told, beta * kl.k1(logp, ref_logp))


def reads(model, ids, mask, pieces=1):
    """What a frozen language model gives to every token that is there.  ids, mask (B, T) -> (B, T-1)"""
    with torch.no_grad():
        return in_pieces(lambda rows: token_logp(model(rows), rows), ids, mask, pieces)


def foresees(critic, ids, mask, pieces=1):
    """The critic's values before every token.  ids, mask (B, T) -> (B, T-1)"""
    with torch.no_grad():
        return in_pieces(lambda rows: critic(rows)[:, :-1], ids, mask, pieces)


def experience(batch, scores, reference, critic, plan, beta):
    """All that is known about a batch of answers before anybody learns.  batch: ids, mask, logp; scores (B,)"""
    ids, mask, logp = batch
    told = mask[:, 1:]
    ref_logp = reads(reference, ids, mask, plan.sample.pieces)
    values = foresees(critic, ids, mask, plan.sample.pieces)
    verdicts = verdict(scores, finished(ids, mask), plan.leash)
    rewards = paid(verdicts, logp, ref_logp, told, beta)
    adv, ret = token_advantages(rewards, values, told, plan.critic)
    adv = whitened(adv, told) if plan.critic.whiten else adv
    return Experience(ids, mask, logp, ref_logp, values, adv, ret, verdicts)


def losses(model, critic, known, plan):
    """The policy's clipped surrogate and the critic's error on some answers, and the share of ratios cut off."""
    told, pieces, how = known.told, plan.sample.pieces, plan.sample.surrogate
    logp = in_pieces(lambda rows: token_logp(model(rows), rows), known.ids, known.mask, pieces)
    values = in_pieces(lambda rows: critic(rows)[:, :-1], known.ids, known.mask, pieces)
    objective = surrogate(logp, known.logp, known.adv, told, how)
    error = value_loss(values, known.values, known.ret, plan.value_clip) / 2
    ratio = (logp - known.logp).detach().exp()
    return -averaged(objective, told, how), masked_mean(error, told), dials.outside(ratio, how.low, how.high)[told]


def learn(models, optimizers, known, plan, generator, mixed=None):
    """All epochs on one batch of answers.  models, optimizers: the policy's, the critic's -> the last dials

    mixed() is another loss of the policy's, added with the weight plan.mix at every step.
    """
    for _ in range(plan.sample.epochs):
        for rows in torch.randperm(len(known.ids), generator=generator).chunk(plan.minibatches):
            policy_loss, value_error, cut = losses(*models, known.rows(rows), plan)
            other = mixed() if mixed else torch.zeros(())
            update(models[0], optimizers[0], policy_loss + plan.mix * other)
            update(models[1], optimizers[1], value_error)
    return {"value_loss": value_error.item(), "clipped": cut.float().mean().item(), "mixed": other.item()}


def train(model, critic, reference, ask, plan, seed=0, mixed=None):
    """Yield a record after every step.  ask(step) -> P prompts and a judge, as policy.group.train has it

    mixed(model, step) -> a loss, for PPO-ptx.
    """
    if (mixed is None) != (plan.mix == 0):
        raise ValueError(f"plan.mix = {plan.mix} weighs the loss of mixed(model, step): give both or neither")
    models = (model, critic)
    optimizers, beta = (adamw(model, plan.sample.lr), adamw(critic, plan.critic.lr)), plan.leash.beta
    for step in range(plan.sample.steps):
        batch, scores, said = group.gather(model, ask, plan.sample, step, seed)
        known = experience(batch, scores.flatten(), reference, critic, plan, beta)
        other = (lambda step=step: mixed(model, step)) if mixed else None
        found = learn(models, optimizers, known, plan, seeds.rng(seed, "order", step), other)
        record = {"step": step, "beta": beta, "answers": said} | summary(known) | found
        if plan.leash.target is not None:
            beta = next_price(beta, record["kl"], plan.leash.target, plan.leash.gain)
        yield record


def summary(known):
    """Dials of one batch, all of the policy that wrote it: verdict, nats per answer, length, share that ended, ..."""
    told = known.told
    nats = torch.where(told, kl.k1(known.logp, known.ref_logp), 0.0).sum(1)  # (B,)
    return {
        "reward": known.verdicts.mean().item(),
        "kl": nats.mean().item(),
        "length": told.sum(1).float().mean().item(),
        "ended": finished(known.ids, known.mask).float().mean().item(),
        "surprise": -masked_mean(known.logp, told).item(),  # of the policy at its own tokens: an estimate of entropy
        "foreseen": foreseen(known.values, known.verdicts, told),
    }
