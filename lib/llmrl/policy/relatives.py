r"""GRPO's relatives: the same surrogate with other arguments, and the two that take a KL off the reward.

RLOO (Ahmadian et al. 2024, arXiv:2402.14740) compares an answer with the mean of the *others* and takes a whole answer
for one action. REINFORCE++ (Hu 2025, arXiv:2501.03262) has one baseline and one deviation for the whole batch.
CISPO (MiniMax 2025, arXiv:2506.13585) bounds the ratio and not the gradient: no token falls silent.
The first two pull the policy to a reference through the reward, not through the loss: RLOO takes the KL of a whole
answer off its reward, REINFORCE++ takes off each token's advantage what the tokens from there on cost.
Left out: CISPO's lower bound, which its authors leave out too. Its upper one is a choice of ours.

Shapes: B sequences, T positions.
"""

import torch

from llmrl.policy.surrogate import Surrogate
from llmrl.rlhf import kl

RLOO = Surrogate(level="product", baseline="leave_one_out", scale=None)
REINFORCE_PP = Surrogate(average="token", baseline="batch", scale="batch")
REINFORCE_PP_BASELINE = Surrogate(average="token", baseline="mean", scale="batch")
CISPO = Surrogate(form="weight", low=1.0, high=1.0, average="token")


def price(logp, ref_logp, told):
    r"""$\log\pi-\log\pi_{ref}$ of every told token, 0 elsewhere.  All (B, T-1)"""
    return torch.where(told, kl.k1(logp, ref_logp), 0.0)


def leashed_rewards(rewards, logp, ref_logp, told, beta):
    r"""$r-\beta\sum_t\log\frac{\pi}{\pi_{ref}}$: RLOO's, per answer.  rewards (B,), the others (B, T-1) -> (B,)"""
    return rewards - beta * price(logp, ref_logp, told).sum(1)


def leashed_advantages(rewards, logp, ref_logp, told, beta):
    r"""$r-\beta\sum_{u\ge t}\log\frac{\pi}{\pi_{ref}}$: REINFORCE++'s, per token.  -> (B, T-1), 0 where nothing is told

    Before its mean and deviation over the batch are taken off: see whitened() of policy.token_critic.
    """
    ahead = price(logp, ref_logp, told).flip(1).cumsum(1).flip(1)
    return torch.where(told, rewards[:, None] - beta * ahead, 0.0)
