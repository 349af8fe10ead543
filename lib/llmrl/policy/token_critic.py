r"""PPO on language, token by token: a second model, the critic, says after every token how the answer will be judged.

An answer is an episode: a state is the text so far, an action the next token, the reward comes with the last token.
The critic is a language model with a scalar head, $V(s_t)$, read at every position; GAE turns its surprises
into one advantage per token, and the policy follows the same clipped surrogate as GRPO, whose advantage is one per
answer. An answer cut by max_new counts as ended: the limit belongs to the task.
Left out: a KL in the rewards (`token_rewards` takes one), a critic that shares the policy's layers.

Shapes: P prompts, G answers per prompt, B = P G sequences, T positions.
"""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from llmrl.lm.logprobs import masked_mean, token_logp
from llmrl.lm.model import Linear
from llmrl.lm.training import adamw, update
from llmrl.policy.advantages import gae
from llmrl.policy.dials import explained_variance
from llmrl.policy.group import gather, in_pieces
from llmrl.policy.surrogate import averaged, surrogate


class Critic(nn.Module):
    """A copy of a language model with a scalar head, zero at first.  ids (B, T) -> values (B, T)"""

    def __init__(self, lm):
        super().__init__()
        self.lm = copy.deepcopy(lm)
        self.head = Linear(lm.config.width, 1)
        nn.init.zeros_(self.head.weight)

    def forward(self, ids):
        """values[:, t]: what the answer is expected to earn once the tokens up to and including t are written."""
        return self.head(self.lm.hidden(ids)).squeeze(-1)


@dataclass(frozen=True)
class CriticPlan:
    """How the critic is fitted and used."""

    lr: float = 1e-3
    lam: float = 0.95
    gamma: float = 1.0
    whiten: bool = True  # advantages of a batch to mean 0 and deviation 1


def last_told(told):
    """True on the last token of each answer.  told (B, T-1) -> (B, T-1)"""
    return told & ~torch.cat([told[:, 1:], torch.zeros_like(told[:, :1])], 1)


def token_rewards(rewards, told, penalty=None):
    """The verdict on an answer's last token, minus a penalty per token.  rewards (B,), told (B, T-1) -> (B, T-1)"""
    paid = torch.where(last_told(told), rewards[:, None], 0.0)
    return paid if penalty is None else paid - torch.where(told, penalty, 0.0)


def token_advantages(rewards, values, told, plan=CriticPlan()):
    """GAE over the tokens of each answer.  rewards, values, told (B, T-1) -> advantages and returns (B, T-1)

    values[:, t] is that of the text before the token t is written; an answer ends with its last told token.
    """
    over = torch.zeros_like(values[:, 0])  # nothing comes after the last column
    adv = gae(rewards.T, values.T, over, last_told(told).T, plan.gamma, plan.lam).T
    return torch.where(told, adv, 0.0), torch.where(told, adv + values, 0.0)


def whitened(adv, told, eps=1e-8):
    """Advantages of all told tokens, to mean 0 and deviation 1."""
    mean = masked_mean(adv, told)
    deviation = masked_mean((adv - mean).square(), told).sqrt()
    return torch.where(told, (adv - mean) / (deviation + eps), 0.0)


def foreseen(values, rewards, told):
    """The share of the verdicts' variance that the values explain, over all told tokens; a constant explains 0."""
    verdicts = rewards.flatten()[:, None].expand_as(values)
    return explained_variance(values[told], verdicts[told], told[told]).item()


def losses(model, critic, batch, adv, ret, plan):
    """The policy's loss, as plan.surrogate has it, and the critic's, on one batch of tokens."""
    ids, mask, old_logp = batch
    told = mask[:, 1:]
    logp = in_pieces(lambda rows: token_logp(model(rows), rows), ids, mask, plan.pieces)  # (B, T-1)
    objective = surrogate(logp, old_logp, adv, told, plan.surrogate)
    error = (in_pieces(lambda rows: critic(rows)[:, :-1], ids, mask, plan.pieces) - ret).square() / 2
    return -averaged(objective, told, plan.surrogate), masked_mean(error, told)


def train(model, critic, ask, plan, fit=CriticPlan(), seed=0):
    """Yield a record per step, as policy.group.train does, with what the critic knew.

    Of plan.surrogate the critic replaces baseline and scale; PPO usually averages over tokens: average="token".
    """
    optimizer, critic_optimizer = adamw(model, plan.lr), adamw(critic, fit.lr)
    for step in range(plan.steps):
        (ids, mask, logp), rewards, said = gather(model, ask, plan, step, seed)  # rewards (P, G)
        told = mask[:, 1:]  # (B, T-1)
        with torch.no_grad():
            values = in_pieces(lambda rows: critic(rows)[:, :-1], ids, mask, plan.pieces)  # (B, T-1): before each token
        adv, ret = token_advantages(token_rewards(rewards.flatten(), told), values, told, fit)
        adv = whitened(adv, told) if fit.whiten else adv
        for _ in range(plan.epochs):
            policy_loss, value_loss = losses(model, critic, (ids, mask, logp), adv, ret, plan)
            update(model, optimizer, policy_loss)
            update(critic, critic_optimizer, value_loss)
        record = {"step": step, "reward": rewards.mean().item(), "length": told.sum(1).float().mean().item()}
        yield record | {"answers": said, "value_loss": value_loss.item(), "foreseen": foreseen(values, rewards, told)}
