r"""One DPO step taken apart: two answers, two models, four log-probabilities, one number that weighs the update.

Every token of an answer has a log-ratio, $\log\pi(y_t)-\log\pi_{ref}(y_t)$; their sum is the answer's, the difference
of the two answers is the margin, and $\nabla\ell=-\beta\,\sigma(\hat r_l-\hat r_w)\,
(\nabla\log\pi(y_w)-\nabla\log\pi(y_l))$: a pair in the right order by far gives almost nothing, one in the wrong order
almost all. Left out: the optimizer, which rescales what comes out of here.

Shapes: B pairs or answers, T positions, n tokens of one answer.
"""

from dataclasses import dataclass

import torch

from llmrl.lm.logprobs import token_logp
from llmrl.preference.losses import preference_loss, reward_margin


def log_ratio(logp, ref_logp, mask):
    r"""$\log\frac{\pi(y\mid x)}{\pi_{ref}(y\mid x)}$ from tokens: summed where mask is True.  three (B, T) -> (B,)"""
    if not logp.shape == ref_logp.shape == mask.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"logp, ref_logp and a bool mask must have one shape, got {tuple(logp.shape)}, {tuple(ref_logp.shape)} and "
            f"{mask.dtype} {tuple(mask.shape)}: token_logp has one column less than ids, cut the mask's first"
        )
    return torch.where(mask, logp - ref_logp, 0.0).sum(1)


def coefficient(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta):
    r"""$\sigma(\hat r_l-\hat r_w)$, how wrong the implicit rewards have a pair, in (0, 1).  four of (B,) -> (B,)"""
    return (-reward_margin(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta)).sigmoid()


@dataclass(frozen=True)
class Side:
    """One answer under two models."""

    tokens: list  # n texts
    logp: torch.Tensor  # (n,) under the policy
    ref_logp: torch.Tensor  # (n,) under the reference

    @property
    def ratio(self):
        return self.logp - self.ref_logp


@dataclass(frozen=True)
class Step:
    """What one pair contributes to a step."""

    chosen: Side
    rejected: Side
    beta: float

    def logps(self):
        """The four log-probabilities of whole answers, in the order every loss takes them.  four of (1,)"""
        sides = (self.chosen, self.rejected)
        return [s.logp.sum()[None] for s in sides] + [s.ref_logp.sum()[None] for s in sides]

    @property
    def margin(self):
        return reward_margin(*self.logps(), self.beta).item()

    @property
    def coefficient(self):
        return coefficient(*self.logps(), self.beta).item()

    @property
    def loss(self):
        return preference_loss(torch.tensor(self.margin)).item()


@torch.no_grad()
def side(model, reference, sample, tokenizer):
    """One (ids, mask) sample under both models, the answer's tokens only."""
    ids, mask = torch.tensor([sample[0]]), torch.tensor(sample[1])[1:]  # (1, T), (T-1,)
    logp, ref_logp = (token_logp(m(ids), ids)[0, mask] for m in (model, reference))
    return Side([tokenizer.decode([i]) for i in ids[0, 1:][mask].tolist()], logp, ref_logp)


def taken_apart(model, reference, pair, beta, tokenizer):
    """A pair of samples as the Step it gives."""
    return Step(*(side(model, reference, sample, tokenizer) for sample in pair), beta)


def draw_ratios(ax, one, per_line=9, limit=3.0):
    """The tokens of an answer as coloured boxes: green where the policy likes a token more than the reference did."""
    from matplotlib import colormaps, colors

    norm, shades = colors.Normalize(-limit, limit), colormaps["PuOr"]
    for n, (token, ratio) in enumerate(zip(one.tokens, one.ratio.tolist())):
        x, y = n % per_line, -(n // per_line)
        face = shades(norm(ratio))
        ax.add_patch(_box(x, y, face))
        ink = "white" if abs(norm(ratio) - 0.5) > 0.33 else "black"
        text = "end" if token == "<|im_end|>" else token.replace(" ", "␣").replace("\n", "⏎")
        ax.text(x + 0.5, y + 0.63, text, ha="center", va="center", color=ink, fontsize=10)
        number = f"{ratio:+.1f}" if abs(ratio) >= 0.05 else "0"
        ax.text(x + 0.5, y + 0.25, number, ha="center", va="center", color=ink, fontsize=9)
    ax.set(xlim=(-0.02, per_line + 0.02), ylim=(-((len(one.tokens) - 1) // per_line) - 0.05, 1.05))
    ax.axis("off")
    return ax


def _box(x, y, face):
    from matplotlib.patches import Rectangle

    return Rectangle((x + 0.03, y + 0.04), 0.94, 0.9, facecolor=face, edgecolor="#777777", lw=0.6)


def draw_step(step):
    """The whole step as one figure, from the two answers down to the gradient's direction."""
    from matplotlib import pyplot as plt

    rows = [1 + (len(s.tokens) - 1) // 9 for s in (step.chosen, step.rejected)]
    fig, axes = plt.subplots(3, 1, figsize=(7.5, 3.4 + 0.62 * sum(rows)), height_ratios=(*rows, 3.6))
    for ax, one, name in zip(axes, (step.chosen, step.rejected), ("chosen", "rejected")):
        draw_ratios(ax, one)
        ax.set_title(f"{name}: log-ratio of every token, {one.ratio.sum():+.1f} in all", color=name)
    _draw_numbers(axes[2], step)
    return fig


def _draw_numbers(ax, step):
    """From four log-probabilities to the coefficient."""
    at = {"chosen": 2.2, "rejected": 1.2}
    for x, title in zip((2.3, 4.3, 6.3), ("policy", "reference", "reward: β × difference")):
        ax.text(x, 3.1, title, ha="center", va="center", fontsize=11, weight="bold")
    for one, (name, y) in zip((step.chosen, step.rejected), at.items()):
        ax.text(0.1, y, f"log p, {name}", ha="left", va="center", fontsize=11, color=name, weight="bold")
        numbers = (one.logp.sum(), one.ref_logp.sum(), step.beta * one.ratio.sum())
        for x, number, colour in zip((2.3, 4.3, 6.3), numbers, ("policy", "reference", "reward")):
            box = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": colour, "lw": 2}
            ax.text(x, y, f"{number:+.2f}", ha="center", va="center", fontsize=12, bbox=box)
    facts = (f"margin {step.margin:+.2f}", f"loss {step.loss:.2f}", f"coefficient {step.coefficient:.2f}")
    for x, words in zip((1.2, 3.6, 6.1), facts):
        ax.text(x, 0.3, words, ha="center", va="center", fontsize=12, weight="bold")
    pull = f"gradient of the loss = −β · {step.coefficient:.2f} · (∇ log p chosen − ∇ log p rejected)"
    ax.text(0.1, -0.45, pull, ha="left", va="center", fontsize=11)
    ax.set(xlim=(0, 7.5), ylim=(-0.8, 3.5))
    ax.axis("off")
