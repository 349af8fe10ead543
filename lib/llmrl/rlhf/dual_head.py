r"""One model that speaks and judges: the policy's head and the critic's on the same last layer.

$\text{logits}=hE^\top$ (B, T, V) and $\text{values}=hw$ (B, T), both of the one hidden state h. A second body is saved:
its weights, its gradients and optimizer averages, its pass over every text. The price is that both losses now pull at
the same layers, so a step that only mends the values changes what the policy says. `apart=True` stops the critic's
gradient below its head, which keeps the policy safe and leaves the critic one linear map of what the policy needs.
Left out: a critic that shares the lower layers only, a head of several layers.

Shapes: B sequences, T positions, V vocabulary, D width.
"""

import torch
from torch import nn

from llmrl.lm.logprobs import masked_mean, token_logp
from llmrl.lm.model import Linear
from llmrl.policy.surrogate import averaged, surrogate
from llmrl.rlhf.kl import exact


class DualHead(nn.Module):
    """A language model itself, not a copy, and a scalar head, zero at first.  ids (B, T) -> (B, T, V) and (B, T)"""

    def __init__(self, lm, apart=False):
        super().__init__()
        self.lm, self.apart = lm, apart
        self.value_head = Linear(lm.config.width, 1)
        nn.init.zeros_(self.value_head.weight)

    def forward(self, ids):
        """Scores of every next token, and what the answer is expected to earn, from one pass."""
        hidden = self.lm.hidden(ids)  # (B, T, D)
        below = hidden.detach() if self.apart else hidden
        return self.lm.unembed(hidden), self.value_head(below).squeeze(-1)


def joint_losses(dual, batch, adv, ret, how):
    """The policy's loss, as the Surrogate has it, and the critic's, from one pass.  batch: ids, mask, old_logp"""
    ids, mask, old_logp = batch
    logits, values = dual(ids)
    told = mask[:, 1:]
    objective = surrogate(token_logp(logits, ids), old_logp, adv, told, how)  # (B, T-1)
    return -averaged(objective, told, how), value_error(values, ret, told)


def value_error(values, ret, told):
    """Half the squared error of the values before each told token.  values (B, T), ret, told (B, T-1) -> a number"""
    return masked_mean((values[:, :-1] - ret).square(), told) / 2


def drift(lm, reference, ids, told):
    """How far a model has moved: exact KL to the reference, mean over the told tokens.  ids (B, T), told (B, T-1)"""
    with torch.no_grad():
        return masked_mean(exact(lm(ids), reference(ids))[:, :-1], told).item()
