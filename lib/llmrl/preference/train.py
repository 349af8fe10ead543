r"""DPO training: two sequences, two models, four log-probabilities, one step.

The reference never changes, so its log-probabilities are computed once, before the first step. Left out so far: the
relatives of DPO, fresh pairs.

Shapes: B pairs, T positions.
"""

import torch

from llmrl import seeds
from llmrl.lm.logprobs import token_logp
from llmrl.lm.training import Plan, adamw, learning_rate, pad, set_rate, update
from llmrl.preference.losses import dpo
from llmrl.tuning import chat


def rendered(pairs, tokenizer=None):
    """Rows {"prompt", "chosen", "rejected"} -> ((ids, mask) of the chosen, (ids, mask) of the rejected) each."""
    sides = ("chosen", "rejected")
    return [tuple(chat.render(chat.exchange(row["prompt"], row[side]), tokenizer) for side in sides) for row in pairs]


def answer_logp(model, samples):
    r"""$\log\pi(y\mid x)$, summed over the tokens of the answer.  (ids, mask) samples -> (B,)"""
    ids, mask = pad([s[0] for s in samples]), pad([s[1] for s in samples], False)
    return torch.where(mask[:, 1:], token_logp(model(ids), ids), 0.0).sum(1)


@torch.no_grad()
def reference_logp(model, pairs, batch=64):
    """Log-probabilities of both sides of every pair under the frozen reference.  -> (pairs, 2)"""
    parts = [
        torch.stack([answer_logp(model, side) for side in zip(*pairs[i : i + batch])], dim=1)
        for i in range(0, len(pairs), batch)
    ]
    return torch.cat(parts) if parts else torch.empty(0, 2)


def train(model, pairs, ref_logp, plan=Plan(steps=64, lr=3e-4, warmup=5), beta=0.1, batch=16, seed=0):
    """Tune a model in place on rendered pairs; yields loss, accuracy and margin of each batch before its step."""
    if not pairs or ref_logp.shape != (len(pairs), 2):
        raise ValueError(
            f"{len(pairs)} pairs need a reference's log-probabilities of shape ({len(pairs)}, 2), got "
            f"{tuple(ref_logp.shape)}: reference_logp(model, pairs) computes them, for one pair or more"
        )
    optimizer = adamw(model, plan.lr, plan.weight_decay)
    for step in range(plan.steps):
        set_rate(optimizer, learning_rate(step, plan))
        drawn = torch.randint(len(pairs), (batch,), generator=seeds.rng(seed, "dpo", step))
        logp = answer_logp(model, [pairs[i][side] for side in (0, 1) for i in drawn.tolist()])
        chosen, rejected = logp[:batch], logp[batch:]
        ref_chosen, ref_rejected = ref_logp[drawn].unbind(1)
        loss = dpo(chosen, rejected, ref_chosen, ref_rejected, beta).mean()
        margin = (chosen - rejected - ref_chosen + ref_rejected).detach()
        update(model, optimizer, loss, plan.clip)
        yield {
            "step": step,
            "loss": loss.item(),
            "accuracy": (margin > 0).float().mean().item(),
            "margin": margin.mean().item(),
        }
