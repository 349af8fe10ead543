r"""One training loop for next-token prediction, whoever calls it.

Pre-training and supervised tuning differ in their batches, not in their loop: a batch is token ids and a mask that says
which tokens are to be learned. Batch number `step` is a function of its number alone, so a run that was interrupted
goes on where it stopped and ends as if nothing had happened. The loop yields one record per step; it neither prints
nor saves. A gradient that is not finite stops it before it reaches the weights.
Left out: gradient accumulation, mixed precision.

Shapes: B sequences, T positions.
"""

import math
from dataclasses import dataclass

import torch

from llmrl.lm.logprobs import masked_mean, token_logp


@dataclass(frozen=True)
class Plan:
    """How long and how fast."""

    steps: int
    lr: float = 3e-3  # the highest, reached after warm-up
    warmup: int = 20
    final: float = 0.1  # share of lr left at the end of the cosine
    weight_decay: float = 0.1
    clip: float = 1.0  # longest gradient

    def __post_init__(self):
        for name, lowest in (("steps", 1), ("warmup", 0)):
            number = getattr(self, name)
            if not isinstance(number, int) or isinstance(number, bool) or number < lowest:
                raise ValueError(f"{name} must be a whole number of at least {lowest}, got {number!r}")
        if not (self.lr > 0 and self.clip > 0 and self.weight_decay >= 0 and 0 <= self.final <= 1):
            raise ValueError(f"lr and clip must be above 0, weight_decay at least 0, final in [0, 1], got {self}")


def learning_rate(step, plan):
    r"""Linear warm-up, then half a cosine from lr down to final times lr.  step counts from 0"""
    if step < plan.warmup:
        return plan.lr * (step + 1) / plan.warmup
    done = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    return plan.lr * (plan.final + (1 - plan.final) * (1 + math.cos(math.pi * min(done, 1.0))) / 2)


def adamw(model, lr, weight_decay=0.0):
    """AdamW that shrinks matrices and leaves gains alone."""
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices, gains = [p for p in trained if p.dim() > 1], [p for p in trained if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": gains, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=(0.9, 0.95), fused=True)


def set_rate(optimizer, lr):
    """Give every group of an optimizer the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def steps_taken(optimizer):
    """How many steps an optimizer has made."""
    return max((int(state["step"]) for state in optimizer.state.values()), default=0)


def next_token_loss(model, ids, mask):
    r"""$-\frac{1}{|M|}\sum_{t\in M}\log\pi(y_t\mid y_{<t})$ over the tokens marked by the mask.  ids, mask (B, T)"""
    return -masked_mean(token_logp(model(ids), ids), mask[:, 1:])


@torch.no_grad()
def mean_loss(model, rows, at_once=64):
    """The next-token loss over all rows of one length, for measuring.  rows (R, T) -> a number"""
    return -torch.cat([token_logp(model(ids), ids) for ids in rows.split(at_once)]).mean().item()


def update(model, optimizer, loss, clip=1.0):
    """One optimizer step along a loss; returns the length the gradient had before clipping."""
    optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    if not norm.isfinite():
        raise FloatingPointError(
            f"after {steps_taken(optimizer)} steps the loss is {loss.item()} and its gradient {norm.item()} long: the "
            f"weights were left as they are, look at the batch for nan, or lower the learning rate"
        )
    optimizer.step()
    return norm.item()


def train(model, batch, plan, optimizer=None, start=0, loss=next_token_loss):
    """Take steps start..plan.steps-1 on batch(step) -> (ids, mask); yield a record after each."""
    optimizer = optimizer or adamw(model, plan.lr, plan.weight_decay)
    model.train()
    for step in range(start, plan.steps):
        lr = learning_rate(step, plan)
        set_rate(optimizer, lr)
        value = loss(model, *batch(step))
        norm = update(model, optimizer, value, plan.clip)
        yield {"step": step, "loss": value.item(), "lr": lr, "grad_norm": norm}
    model.eval()


def text_batches(ids, batch, length, generator_for):
    """Windows of a long text: batch(step) -> ids and mask (B, length), drawn by generator_for(step)."""
    ids = torch.as_tensor(ids)
    if len(ids) < length:
        raise ValueError(
            f"a window of {length} tokens does not fit into a text of {len(ids)}: shorten the window or give more text"
        )

    def at(step):
        starts = torch.randint(len(ids) - length + 1, (batch, 1), generator=generator_for(step))
        rows = ids[starts + torch.arange(length)]  # (B, T)
        return rows, torch.ones_like(rows, dtype=torch.bool)

    return at


def pad(rows, value=0):
    """Lists of different lengths as one tensor, filled up with the value on the right.  -> (B, T)"""
    longest = max(map(len, rows), default=0)
    if not longest:
        raise ValueError(f"{len(rows)} rows, all of them empty, are nothing to pad: give one token or more")
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def pad_samples(samples):
    """Samples (ids, mask) as one batch, padded on the right.  -> ids and mask (B, T)"""
    return pad([ids for ids, _ in samples]), pad([mask for _, mask in samples], False)


def check_samples(samples):
    """Every sample (ids, learn-mask) has something to learn, and there is one."""
    for i, (ids, mask) in enumerate(samples):
        if len(ids) != len(mask) or not any(mask[1:]):
            raise ValueError(
                f"sample {i} must have a mask as long as its ids that marks a token with another before it, got "
                f"{len(ids)} ids and a mask of {len(mask)} that marks {sum(mask)}: leave it out"
            )
    if not samples:
        raise ValueError("there are no samples to draw from: give one pair (ids, mask) or more")


def sample_batches(samples, batch, generator_for):
    """Samples (ids, learn-mask) in random batches: batch(step) -> ids and mask (B, T), padded on the right."""
    check_samples(samples)

    def at(step):
        chosen = torch.randint(len(samples), (batch,), generator=generator_for(step)).tolist()
        return pad_samples([samples[i] for i in chosen])

    return at
