r"""Distillation: a small model learns from a larger one, from what it says or from how it weighs every token.

Sequence distillation tunes the student on texts the teacher wrote, which is supervised tuning. Soft labels keep the
whole distribution: $\mathrm{KL}(p_{teacher}^{1/\tau}\,\|\,p_{student}^{1/\tau})\,\tau^2$ per token (Hinton et al. 2015,
arXiv:1503.02531). Left out so far: the student's own texts (on-policy), layers and attention maps.

Shapes: B sequences, T positions, V vocabulary.
"""

import torch

from llmrl.lm.logprobs import masked_mean
from llmrl.rlhf import kl


def soft_label_kl(logits, teacher_logits, temperature=1.0):
    r"""$\tau^2\,\mathrm{KL}(p_T^{1/\tau}\,\|\,p_S^{1/\tau})$ at every position.  two of (B, T, V) -> (B, T)"""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}: 1 keeps the teacher's own distribution")
    return temperature**2 * kl.exact(teacher_logits / temperature, logits / temperature)


def soft_loss(teacher, temperature=1.0):
    """The loss for `lm.training.train` that follows a teacher on the tokens marked by the mask."""

    def loss(model, ids, mask):
        with torch.no_grad():
            wanted = teacher(ids)
        return masked_mean(soft_label_kl(model(ids), wanted, temperature)[:, :-1], mask[:, 1:])

    return loss
