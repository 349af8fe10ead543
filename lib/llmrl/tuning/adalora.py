r"""AdaLoRA: all layers share one budget of ranks, and keep those that matter (Zhang et al. 2023, arXiv:2303.10512).

The change is written like a singular value decomposition, $sP\Lambda Q$: r triplets of a column of P, a number and a
row of Q. A penalty keeps columns and rows orthonormal, so that a number set to zero removes one direction and leaves
the others alone. Every entry w has a sensitivity $|w\,\partial L/\partial w|$, about how much the loss would change if
w were zero; it is noisy, so a running mean of it is taken, and multiplied by a running mean of how far it strays. A
triplet's score adds its number's to the mean over its column and over its row. The budget falls along a cubic, and only
so many triplets of the whole model keep their number. One that was set to zero still has a gradient and may come back,
until the budget is final. Left out: giving back the memory of what was pruned.

Shapes: N numbers in, O numbers out, r the rank; W (O, N), Q = A (r, N), P = B (O, r), Lambda = E (r,).
"""

from dataclasses import dataclass

import torch
from torch import nn

from llmrl import seeds
from llmrl.lm.product import product
from llmrl.tuning.lora import LoRALinear, adapters

DEVIATION = 0.02  # of the first P and Q


class SVDLinear(LoRALinear):
    r"""$xW^\top+b+s\,xQ^\top\Lambda P^\top$; Q is A, P is B.  (.., N) -> (.., O)"""

    def __init__(self, linear, rank, alpha, scaling="alpha/r", generator=None):
        generator = generator or seeds.rng(seeds.base_seed(), "adalora", "P and Q")
        super().__init__(linear, rank, alpha, scaling, generator)
        for thin in (self.A, self.B):
            nn.init.normal_(thin, 0, DEVIATION, generator=generator)
        self.E = nn.Parameter(linear.weight.new_zeros(rank))

    def forward(self, x):
        y = self.linear(x)  # (.., O)
        return y if self.merged else y + product(product(x, self.A) * (self.scale * self.E), self.B)

    def delta(self):
        r"""$sP\Lambda Q$.  -> (O, N)"""
        return self.scale * ((self.B * self.E) @ self.A)


def orthogonality(layer):
    r"""$\lVert P^\top P-I\rVert_F$ and $\lVert QQ^\top-I\rVert_F$: 0 where no direction repeats another.  -> (2,)"""
    eye = torch.eye(layer.rank).to(layer.A)
    return torch.stack([(gram - eye).norm() for gram in (layer.B.T @ layer.B, layer.A @ layer.A.T)])


def penalty(model):
    """The mean over all P and Q, as the authors' code and peft have it; the paper adds up the squares."""
    return torch.cat([orthogonality(layer) for layer in triplets(model).values()]).mean()


def triplets(model):
    """The layers of a model whose ranks can be shared out, by name."""
    found = {name: layer for name, layer in adapters(model).items() if isinstance(layer, SVDLinear)}
    if not found:
        raise ValueError("no adapter of the model is an SVDLinear: adapt(model, where, make) puts them there")
    return found


@dataclass(frozen=True)
class Budget:
    """How many ranks all layers have together, and when."""

    steps: int  # T, of the whole training
    first: int  # b_0
    last: int  # b_T
    warmup: int = 0  # t_i, steps with all ranks
    final: int = 0  # t_f, steps with the last budget
    every: int = 1  # steps from one choice to the next

    def __post_init__(self):
        if not 1 <= self.last <= self.first:
            raise ValueError(f"a budget falls, last must be from 1 to first, got first={self.first}, last={self.last}")
        if self.warmup < 0 or self.final < 0 or self.every < 1 or self.warmup + self.final >= self.steps:
            raise ValueError(f"warmup and final must leave steps for the budget to fall, every at least 1, got {self}")


def ranks_left(step, budget):
    r"""$b_T+(b_0-b_T)\left(1-\frac{t-t_i}{T-t_i-t_f}\right)^3$ between warm-up and the final steps, rounded down."""
    falling = budget.steps - budget.warmup - budget.final
    left = 1 - min(max(step - budget.warmup, 0), falling) / falling
    return int(budget.last + (budget.first - budget.last) * left**3)


def smooth(mean, spread, now, beta=0.85):
    r"""$\bar I\leftarrow\beta\bar I+(1-\beta)I$, then the same for $|I-\bar I|$.  three of one shape -> mean, spread"""
    mean = beta * mean + (1 - beta) * now
    return mean, beta * spread + (1 - beta) * (now - mean).abs()


def triplet_scores(P, E, Q):
    r"""$S_i=s(\lambda_i)+\frac1O\sum_js(P_{ji})+\frac1N\sum_js(Q_{ij})$.  scores (O, r), (r,), (r, N) -> (r,)"""
    return E + P.mean(0) + Q.mean(1)


def keep_best(scores, budget):
    """Which triplets of all layers are among the budget's best.  list of (r,) -> list of bool (r,)"""
    everything = torch.cat(scores)
    if not everything.isfinite().all():
        raise ValueError("scores must be finite, got nan or inf: look at the gradients of the step before")
    kept = torch.zeros_like(everything, dtype=torch.bool)
    kept[everything.argsort(descending=True, stable=True)[:budget]] = True
    return list(kept.split([len(s) for s in scores]))


class Allocator:
    """Shares out a model's ranks while it is trained: call after(step) when a step is done, gradients still there."""

    def __init__(self, model, budget, beta=0.85):
        self.layers, self.budget, self.beta, self.seen, self.kept = triplets(model), budget, beta, {}, None
        ranks = sum(layer.rank for layer in self.layers.values())
        if ranks != budget.first:
            raise ValueError(
                f"the budget begins with {budget.first} ranks, the model has {ranks}: first must be {ranks}"
            )

    @torch.no_grad()
    def watch(self):
        """Take the sensitivity of every entry into its running means."""
        for name, layer in self.layers.items():
            for part in "BEA":
                w = getattr(layer, part)
                if w.grad is None:
                    raise ValueError(f"{name}.{part} has no gradient: call after(step) when the step has been made")
                zero = torch.zeros_like(w)
                mean, spread = self.seen.get((name, part), (zero, zero))
                self.seen[name, part] = smooth(mean, spread, (w * w.grad).abs(), self.beta)

    def scores(self):
        """The score of every triplet.  -> {name: (r,)}"""
        smoothed = {key: mean * spread for key, (mean, spread) in self.seen.items()}
        return {name: triplet_scores(*(smoothed[name, part] for part in "BEA")) for name in self.layers}

    @torch.no_grad()
    def after(self, step):
        """Watch, choose when a choice is due, and set to zero what was not chosen; returns how many ranks are left."""
        end = self.budget.steps - self.budget.final
        if step < end:
            self.watch()
        due = self.budget.warmup < step < end and step % self.budget.every == 0
        if due or step == end:
            kept = keep_best(list(self.scores().values()), ranks_left(step, self.budget))
            self.kept = dict(zip(self.layers, kept))
        if self.kept is not None and (due or step >= end):
            for name, layer in self.layers.items():
                layer.E.masked_fill_(~self.kept[name], 0.0)
        return ranks_left(step, self.budget) if self.kept is None else sum(int(k.sum()) for k in self.kept.values())
