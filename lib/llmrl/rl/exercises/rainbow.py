"""Exercises on the repairs of DQN: distributions, quantiles, priorities and windows.

Each checker probes what people get wrong: the edges of the atoms, the side that weighs more, the end of an episode.
Left out: the double target, which has its place among DQN's own exercises.
"""

import numpy as np
import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


def _project(probs, rewards, discount, support, move=None, share=None, clamp=True):
    gap = support[1] - support[0]
    moved = rewards[..., None] + discount[..., None] * support if move is None else move(rewards, discount, support)
    moved = moved.clamp(support[0], support[-1]) if clamp else moved
    far = (moved[..., None, :] - support[:, None]).abs() / gap
    shares = (1 - far).clamp(0, 1) if share is None else share(far, moved, support)
    return (shares * probs[..., None, :]).sum(-1)


def _round_down(far, moved, support):
    below = ((moved - support[0]) / (support[1] - support[0]) + 1e-6).floor().long()
    return torch.nn.functional.one_hot(below, len(support)).transpose(-1, -2).to(moved.dtype)


def _two_neighbours(probs, rewards, discount, support):
    """The published algorithm without its repair for atoms that are hit exactly: l = u, and both shares are 0."""
    low, gap = support[0], support[1] - support[0]
    moved = (rewards[..., None] + discount[..., None] * support).clamp(low, support[-1])
    at = (moved - low) / gap
    below, above, found = at.floor().long(), at.ceil().long(), torch.zeros_like(probs)
    found.scatter_add_(-1, below, probs * (above - at))
    return found.scatter_add_(-1, above, probs * (at - below))


@exercise(
    "rl.c51_project",
    title="Back onto the atoms",
    signature="c51_project(probs: (..., M), rewards: (...), discount: (...), support: (M,)) -> (..., M)",
    solution="llmrl.rl.distributional.c51_project",
    minutes=15,
    difficulty=3,
    hints=(
        "Move: r + discount * z for every atom, clamped to the first and last atom. Then ask of every pair (i, j) how "
        "many gaps lie between atom i and the moved atom j.",
        "Atom i gets (1 - distance / gap) of j's probability, and nothing when that is negative: clamp at 0, then sum "
        "over j. With moved[..., None, :] and support[:, None] all pairs come out at once.",
    ),
    wrong=(
        Wrong(
            "all probability went to the atom below; each moved atom shares it between both neighbours",
            lambda p, r, d, z: _project(p, r, d, z, share=_round_down),
        ),
        Wrong(
            "all probability went to the nearest atom; sharing by distance keeps the mean, rounding does not",
            lambda p, r, d, z: _project(p, r, d, z, share=lambda far, *_: (far < 0.5).to(p.dtype)),
        ),
        Wrong(
            "probability beyond the last atom was lost; clamp the moved atoms to the range, mass has to stay 1",
            lambda p, r, d, z: _project(p, r, d, z, clamp=False),
        ),
        Wrong(
            "the discount also shrank the reward; it belongs to what follows",
            lambda p, r, d, z: _project(p, r, d, z, lambda r, d, z: d[..., None] * (r[..., None] + z)),
        ),
        Wrong(
            "the discount is missing: the moved atom is r + discount * z",
            lambda p, r, d, z: _project(p, r, d, z, lambda r, d, z: r[..., None] + z),
        ),
        Wrong(
            "the discount multiplied the probabilities; it moves the places, and the mass stays 1",
            lambda p, r, d, z: _project(p * d[..., None], r, d, z, lambda r, d, z: r[..., None] + z),
        ),
        Wrong(
            "a moved atom that hits an atom exactly has no two neighbours: its probability vanished",
            _two_neighbours,
        ),
    ),
)
def c51_project(answer, solution):
    support, probs = torch.linspace(-1.0, 1.0, 5), torch.tensor([[0.1, 0.2, 0.4, 0.2, 0.1]])

    def probe(reward, discount, case, p=probs):
        given = p, torch.tensor(reward), torch.tensor(discount), support
        return differs(answer(*given), solution(*given), case)

    yield probe([0.1], [0.8], "with reward 0.1 and discount 0.8")
    yield probe([0.5], [1.0], "with a reward of exactly one gap and discount 1")
    yield probe([0.9], [0.9], "with a reward that moves atoms out of the range")
    yield probe([0.25], [0.0], "after a terminated step, discount 0")
    three = torch.tensor([[0.2, 0.2, 0.2, 0.2, 0.2], [0.0, 0.0, 1.0, 0.0, 0.0], [0.7, 0.0, 0.0, 0.0, 0.3]])
    yield probe([0.3, -0.2, 0.05], [0.5, 0.9, 0.97], "on three transitions", three)


def _quantile(predicted, target, force=None, size=None, mean=None):
    gap = target[..., None, :] - predicted[..., :, None]
    n = predicted.shape[-1]
    tau = ((torch.arange(n) + 0.5) / n)[:, None]
    bend = torch.nn.functional.huber_loss(gap, torch.zeros_like(gap), reduction="none")
    force = (tau - (gap < 0).to(gap.dtype)).abs() if force is None else force(tau, gap, n)
    losses = force * (bend if size is None else size(gap))
    return losses.mean(-1).sum(-1) if mean is None else mean(losses)


@exercise(
    "rl.quantile_huber",
    title="The loss whose minimum are the quantiles",
    signature="quantile_huber(predicted: (..., N), target: (..., M)) -> (...)",
    solution="llmrl.rl.quantiles.quantile_huber",
    minutes=12,
    difficulty=3,
    hints=(
        "All pairs u = y_j - theta_i first: target[..., None, :] - predicted[..., :, None] is (..., N, M).",
        "Huber's loss with kappa 1 of u is u²/2 up to |u| = 1 and |u| - 1/2 beyond. Multiply it by tau_i where u > 0 "
        "and by 1 - tau_i where u < 0. Mean over j, sum over i.",
    ),
    wrong=(
        Wrong(
            "the sides changed places: a target above pulls with tau, so that high quantiles rise",
            lambda p, y: _quantile(p, y, lambda tau, gap, n: (tau - (gap > 0).to(gap.dtype)).abs()),
        ),
        Wrong(
            "without the absolute value the force of a target below is negative, and the loss falls without end",
            lambda p, y: _quantile(p, y, lambda tau, gap, n: tau - (gap < 0).to(gap.dtype)),
        ),
        Wrong(
            "the levels begin at 1/N; the middles of N equal shares are (2i-1)/2N",
            lambda p, y: _quantile(
                p, y, lambda tau, gap, n: (((torch.arange(n) + 1.0) / n)[:, None] - (gap < 0).to(gap.dtype)).abs()
            ),
        ),
        Wrong(
            "both sides weigh the same here: without tau all quantiles end at one place",
            lambda p, y: _quantile(p, y, lambda tau, gap, n: torch.ones_like(gap)),
        ),
        Wrong("the square alone gives expectiles; beyond 1 Huber's loss is a line",
              lambda p, y: _quantile(p, y, size=lambda gap: gap.square() / 2)),
        Wrong("|u| alone is the quantile loss without Huber's rounding at 0",
              lambda p, y: _quantile(p, y, size=torch.abs)),
        Wrong(
            "the loss sums over the predicted places; the mean would shrink each one's gradient as N grows",
            lambda p, y: _quantile(p, y, mean=lambda losses: losses.mean((-1, -2))),
        ),
        Wrong(
            "every predicted place meets every target; only pairs with the same number were compared",
            lambda p, y: _quantile(p, y, mean=lambda losses: losses.diagonal(0, -1, -2).sum(-1)),
        ),
    ),
)  # fmt: skip
def quantile_huber(answer, solution):
    predicted, target = torch.tensor([-0.5, 0.25, 2.0]), torch.tensor([-2.0, 0.0, 0.5, 3.0])
    yield differs(answer(predicted, target), solution(predicted, target), "on three places and four targets")
    near = torch.tensor([0.1, 0.2]), torch.tensor([0.3, -0.4])
    yield differs(answer(*near), solution(*near), "where all gaps are below 1")
    rows = torch.tensor([[0.0, 1.0], [-3.0, 0.5]]), torch.tensor([[2.0, -1.0, 0.25], [0.0, 0.0, 4.0]])
    yield differs(answer(*rows), solution(*rows), "on two rows")


@exercise(
    "rl.importance",
    title="Taking a preference back",
    signature="importance(chances: (..., B) array, size: int, beta: float) -> (..., B) array",
    solution="llmrl.rl.prioritised.importance",
    minutes=6,
    difficulty=1,
    hints=(
        "An even draw has chance 1 / size. What was drawn twice as often as that should count half, if beta is 1.",
        "(size * chances) ** -beta, then divide by the largest weight of the batch, with keepdims.",
    ),
    wrong=(
        Wrong(
            "the power has the wrong sign: what is drawn more often has to count less",
            lambda c, n, b: (w := (n * c) ** b) / w.max(-1, keepdims=True),
        ),
        Wrong(
            "the largest weight should be 1, so that no step grows: divide by the maximum",
            lambda c, n, b: (n * c) ** -b,
        ),
        Wrong(
            "the weights were divided by their sum; divide by the largest",
            lambda c, n, b: (w := (n * c) ** -b) / w.sum(-1, keepdims=True),
        ),
        Wrong(
            "the maximum ran over all batches; each has a largest weight of its own",
            lambda c, n, b: (w := (n * c) ** -b) / w.max(),
        ),
        Wrong(
            "beta is an exponent; here it mixes the corrected weight and 1 in a straight line",
            lambda c, n, b: (w := 1 - b + b / (n * c)) / w.max(-1, keepdims=True),
        ),
        Wrong(
            "beta is missing: this is the whole correction whatever beta says",
            lambda c, n, b: (w := 1 / (n * c)) / w.max(-1, keepdims=True),
        ),
    ),
)
def importance(answer, solution):
    chances = np.array([0.1, 0.4, 0.25, 0.05])
    for beta in (0.5, 1.0, 0.0):
        yield differs(answer(chances, 8, beta), solution(chances, 8, beta), f"with beta {beta}")
    two = np.array([[0.1, 0.2], [0.5, 0.3]])
    yield differs(answer(two, 6, 0.7), solution(two, 6, 0.7), "on two batches")


def _fold(rewards, terminated, truncated, gamma, ends=None, stop=None, behind=1, weigh=None):
    """The plain loop, with what a mistake changes: where a window ends, what zeroes the discount, its power."""
    total, discount, last = [], [], []
    for r, over, cut in zip(rewards, terminated, truncated):
        halts = (over | cut) if ends is None else ends(over, cut)
        found = halts.nonzero()[:, 0]
        m = int(found[0]) if len(found) else len(r) - 1
        weights = torch.tensor([(weigh or pow)(gamma, t) for t in range(m + 1)], dtype=r.dtype)
        zero = bool((over if stop is None else stop(over, cut))[m])
        total.append((weights * r[: m + 1]).sum())
        discount.append(torch.tensor(0.0 if zero else gamma ** (m + behind), dtype=r.dtype))
        last.append(torch.tensor(m))
    return torch.stack(total), torch.stack(discount), torch.stack(last)


@exercise(
    "rl.fold",
    title="A window of n steps as one transition",
    signature="fold(rewards: (B, n), terminated: (B, n) bool, truncated: (B, n) bool, gamma) -> (B,), (B,), (B,)",
    solution="llmrl.rl.n_step.fold",
    minutes=15,
    difficulty=2,
    hints=(
        "For every window find m, the first step at which the episode ended either way, or n-1. Sum gamma^t r_t up to "
        "and including m.",
        "The discount of what follows is gamma^(m+1), and 0 if step m terminated. After a truncated step it stays. "
        "Return the sums, the discounts and m. A loop over the windows is fine.",
    ),
    wrong=(
        Wrong(
            "a truncated window was given no value behind its end; a time limit is not the end of the world",
            lambda r, d, c, g: _fold(r, d, c, g, stop=lambda over, cut: over | cut),
        ),
        Wrong(
            "the window ran on over a truncation, into the next episode's rewards",
            lambda r, d, c, g: _fold(r, d, c, g, ends=lambda over, cut: over),
        ),
        Wrong(
            "the window ran on over the end of its episode",
            lambda r, d, c, g: _fold(r, d, c, g, ends=lambda over, cut: over & False),
        ),
        Wrong(
            "what follows step m is m+1 steps away: the discount is gamma^(m+1)",
            lambda r, d, c, g: _fold(r, d, c, g, behind=0),
        ),
        Wrong(
            "the first reward is not discounted: gamma^t begins at t = 0",
            lambda r, d, c, g: _fold(r, d, c, g, weigh=lambda g, t: g ** (t + 1)),
        ),
        Wrong("the rewards inside the window are discounted, too",
              lambda r, d, c, g: _fold(r, d, c, g, weigh=lambda *_: 1)),
        Wrong(
            "the value behind a terminated step was kept; nothing comes after the end",
            lambda r, d, c, g: _fold(r, d, c, g, stop=lambda over, cut: over & False),
        ),
    ),
)  # fmt: skip
def fold(answer, solution):
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    no, second = torch.tensor([[False, False, False]]), torch.tensor([[False, True, False]])
    for case, given in (
        ("where the episode goes on", (rewards, no, no, 0.5)),
        ("where the second step terminates", (rewards, second, no, 0.5)),
        ("where the second step is truncated", (rewards, no, second, 0.5)),
    ):
        yield differs(answer(*given), solution(*given), case)
    many = torch.tensor([[1.0, -1.0, 0.5, 2.0], [0.0, 3.0, 1.0, 1.0]])
    over = torch.tensor([[True, False, False, True], [False, False, False, True]])
    cut = torch.tensor([[False, True, False, False], [False, False, True, False]])
    yield differs(answer(many, over, cut, 0.9), solution(many, over, cut, 0.9), "on two windows of four")
