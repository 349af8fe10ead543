r"""Scaling laws: a surface through many runs that says how the loss falls with parameters N and tokens D.

$L(N,D)=E+\frac{A}{N^\alpha}+\frac{B}{D^\beta}$ (Hoffmann et al. 2022): a floor, what a model of N parameters cannot
express, and what D tokens do not teach. The five numbers are fitted to the logarithm of the loss, with Huber's penalty
so that one odd run does not bend the surface, by Levenberg and Marquardt's damped least squares from a grid of starts.
Fitted again and again to runs drawn with replacement (the bootstrap), the law also says how sure it is of itself.
Left out: a term for text that is read more than once, and whatever a law cannot know of runs unlike its own.

Shapes: R runs, S fits side by side.
"""

from dataclasses import dataclass

import torch

HUBER = 0.02  # residual of the log-loss beyond which a run counts linearly and no longer squared
ROUNDS = 200


@dataclass(frozen=True)
class Law:
    """The five numbers of a fit; tensors (S, 1) when many fits stand side by side."""

    E: float
    A: float
    alpha: float
    B: float
    beta: float

    def loss(self, N, D):
        r"""$E+A/N^\alpha+B/D^\beta$.  N, D (R,) -> (R,), or (S, R) of S fits"""
        return self.E + self.A / N**self.alpha + self.B / D**self.beta


def split(law, compute):
    r"""The N and D of the lowest loss among those with $6ND=C$.

    $N=\left(\frac{\alpha A}{\beta B}\right)^{1/(\alpha+\beta)}(C/6)^{\beta/(\alpha+\beta)}$, D what is left of C.
    """
    power = 1 / (law.alpha + law.beta)
    best = (law.alpha * law.A / (law.beta * law.B)) ** power * (compute / 6) ** (law.beta * power)
    return best, compute / (6 * best)


def _check(N, D, loss):
    N, D, loss = (torch.as_tensor(x, dtype=torch.double) for x in (N, D, loss))
    if not N.shape == D.shape == loss.shape or N.dim() != 1 or not all((x > 0).all() for x in (N, D, loss)):
        raise ValueError(
            f"parameters, tokens and losses must be lists of one length, all above 0, got {len(N)}, {len(D)} and "
            f"{len(loss)}: one entry per run"
        )
    if len(N.unique()) < 3 or len(D.unique()) < 3:
        raise ValueError(
            f"five numbers need three sizes and three amounts of text or more, got {len(N.unique())} and "
            f"{len(D.unique())}: train more models"
        )
    return N, D, loss


def fit(N, D, loss):
    """The law of some runs.  N, D, loss (R,) -> Law"""
    N, D, loss = _check(N, D, loss)
    low, spread = loss.min().log().item(), (loss.max() / 4).log().item()
    grid = [low - 1.5, low - 0.3], [spread], [-1.6, -0.7, 0.0], [spread], [-1.6, -0.7, 0.0]  # logarithms of the five
    starts = torch.cartesian_prod(*(torch.tensor(x, dtype=torch.double) for x in grid))
    found, cost = _least_squares(starts, N, D, loss, torch.ones(len(starts), len(N), dtype=torch.double))
    return _law(found[cost.argmin()], N, D)


def bootstrap(N, D, loss, rounds, generator):
    """The laws of runs drawn with replacement, as one Law of tensors (S, 1) with S = rounds."""
    N, D, loss = _check(N, D, loss)
    law = fit(N, D, loss)
    drawn = torch.randint(len(N), (rounds, len(N)), generator=generator)
    times = torch.zeros(rounds, len(N), dtype=torch.double).scatter_add(1, drawn, torch.ones_like(drawn).double())
    found, _ = _least_squares(_numbers(law, N, D).expand(rounds, 5), N, D, loss, times)
    return _law(found, N, D)


def predict(laws, law, runs, N, D, generator):
    """Where new runs would fall: each fit's curve, moved by the miss of a run drawn from those fitted.  -> (S, R)"""
    miss = torch.as_tensor(runs[2]).log() - law.loss(*(torch.as_tensor(x, dtype=torch.double) for x in runs[:2])).log()
    curves = laws.loss(torch.as_tensor(N, dtype=torch.double), torch.as_tensor(D, dtype=torch.double))
    drawn = torch.randint(len(miss), curves.shape, generator=generator)
    return curves * miss[drawn].exp()


def _middle(x):
    return x.log().mean()


def _numbers(law, N, D):
    """A law as the five logarithms that are fitted: of E, of each term at the middle of the runs, of each exponent."""
    terms = [(law.A, law.alpha, _middle(N)), (law.B, law.beta, _middle(D))]
    pairs = [x for scale, power, middle in terms for x in (torch.tensor(scale).log() - power * middle, power)]
    a, alpha, b, beta = (torch.as_tensor(x, dtype=torch.double) for x in pairs)
    return torch.stack([torch.tensor(law.E, dtype=torch.double).log(), a, alpha.log(), b, beta.log()])


def _law(numbers, N, D):
    """The inverse: (5,) -> Law of numbers, (S, 5) -> Law of tensors (S, 1)."""
    e, a, alpha, b, beta = numbers.unbind(-1)
    alpha, beta = alpha.exp(), beta.exp()
    values = e.exp(), (a + alpha * _middle(N)).exp(), alpha, (b + beta * _middle(D)).exp(), beta
    return Law(*(x.item() if x.dim() == 0 else x[:, None] for x in values))


def _log_loss(numbers, n, d):
    """Log-loss and its slopes along the five numbers.  (S, 5) -> (S, R) and (S, R, 5)"""
    e, a, alpha, b, beta = (x[:, None] for x in numbers.unbind(-1))
    terms = torch.stack([e.expand(-1, len(n)), a - alpha.exp() * n, b - beta.exp() * d], -1)  # (S, R, 3)
    w = terms.softmax(-1)
    slopes = [w[..., 0], w[..., 1], -w[..., 1] * alpha.exp() * n, w[..., 2], -w[..., 2] * beta.exp() * d]
    return terms.logsumexp(-1), torch.stack(slopes, -1)


def _huber(miss, times):
    far = miss.abs()
    return (times * torch.where(far < HUBER, far**2 / 2, HUBER * (far - HUBER / 2))).sum(-1)


def _least_squares(numbers, N, D, loss, times):
    """Damped least squares, S fits at once, each with its own count of every run.  -> numbers (S, 5), cost (S,)"""
    n, d, y = N.log() - _middle(N), D.log() - _middle(D), loss.log()
    damping = torch.full((len(numbers),), 1e-2, dtype=torch.double)
    value, slopes = _log_loss(numbers, n, d)
    cost = _huber(value - y, times)
    for _ in range(ROUNDS):
        miss = value - y
        weight = times * (HUBER / miss.abs().clamp(min=HUBER))  # (S, R): what is far off pulls less
        pull = torch.einsum("sr,srk,sr->sk", weight, slopes, miss)
        bend = torch.einsum("sr,srk,srl->skl", weight, slopes, slopes)
        ridge = torch.diag_embed(damping[:, None] * bend.diagonal(dim1=1, dim2=2) + 1e-9)
        tried = numbers - torch.linalg.solve(bend + ridge, pull).clamp(-1, 1)
        new_value, new_slopes = _log_loss(tried, n, d)
        new_cost = _huber(new_value - y, times)
        better = new_cost < cost
        damping = torch.where(better, damping / 3, damping * 5).clamp(min=1e-6)
        numbers = torch.where(better[:, None], tried, numbers)
        value = torch.where(better[:, None], new_value, value)
        slopes = torch.where(better[:, None, None], new_slopes, slopes)
        cost = torch.where(better, new_cost, cost)
        if (damping > 1e4).all():  # not even small steps help any fit
            break
    return numbers, cost
