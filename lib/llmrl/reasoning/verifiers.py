r"""Verifiers that err, and what they leave of best-of-N.

A verifier accepts or rejects an answer. It has two errors: it misses a right answer, with probability `misses`, or is
fooled by a wrong one, with probability `fooled`. Where p of the answers are right, it accepts the share
$a=p(1-m)+(1-p)f$, and an accepted answer is right with probability $p(1-m)/a$. Best-of-N takes an accepted answer if
there is one, which is $1-(1-a)^N$ likely, and otherwise has to take one of the rejected. So a verifier with errors of
its own dice has a ceiling, the share of right ones among what it accepts, and N only brings the answer closer to it.
`scores` asks a verifier about each answer and says which one it stumbled over. `step_verdicts` is a verifier of parts:
the equations of a written sum, one by one.
Left out: verifiers that are models, which err on the same answers every time.
"""

import re

import torch

EQUATION = re.compile(r"\s*(?:so )?\s*(\d+(?:[+-]\d+)+)=(\d+)\s*")


def accepted(p, misses, fooled):
    r"""$a=p(1-m)+(1-p)f$, the share of answers a verifier accepts.  any shape"""
    check_errors(misses, fooled)
    return p * (1 - misses) + (1 - p) * fooled


def precision(p, misses, fooled):
    r"""$p(1-m)/a$, the share of right answers among the accepted ones.  any shape"""
    return p * (1 - misses) / accepted(p, misses, fooled)


def best_of_n_odds(p, n, misses=0.0, fooled=0.0):
    r"""How likely best-of-N with such a verifier is right where p of the answers are.  p any shape -> the same shape

    $(1-r)\,\frac{p(1-m)}{a}+r\,\frac{pm}{1-a}$ with $r=(1-a)^N$, the chance that all N are rejected.
    """
    p = torch.as_tensor(p, dtype=torch.float64)
    if not ((p >= 0) & (p <= 1)).all() or not n >= 1:
        raise ValueError(f"p must be chances in [0, 1] and n at least 1, got p = {p.tolist()} and n = {n!r}")
    a = accepted(p, misses, fooled)
    none = (1 - a) ** n
    among = lambda right, all_: torch.where(all_ > 0, right / all_.clamp(min=1e-300), 0.0)  # noqa: E731
    return (1 - none) * among(p * (1 - misses), a) + none * among(p * misses, 1 - a)


def noisy(right, misses, fooled, generator):
    """Verdicts on answers known to be right or wrong, each with dice of its own.  right bool, any shape -> bool"""
    check_errors(misses, fooled)
    dice = torch.rand(right.shape, generator=generator, dtype=torch.float64)
    return torch.where(right, dice >= misses, dice < fooled)


def check_errors(misses, fooled):
    for name, rate in (("misses", misses), ("fooled", fooled)):
        if not 0 <= rate <= 1:
            raise ValueError(
                f"{name} must be a probability in [0, 1], got {rate!r}: 0 is a verifier that never errs so"
            )


def scores(verifier, answers):
    """verifier(answer) for each answer, as numbers.  A verifier that raises is named with the answer it failed on."""
    found = []
    for place, answer in enumerate(answers):
        try:
            score = float(verifier(answer))
        except Exception as error:
            raise ValueError(
                f"the verifier failed on answer {place}, {str(answer)[:60]!r} ({type(error).__name__}: {error}): a "
                f"model can write anything, so return a number for every text, 0.0 where you cannot read it"
            ) from error
        if score != score:
            raise ValueError(
                f"the verifier says nan about answer {place}, {str(answer)[:60]!r}: return 0.0 for what it cannot judge"
            )
        found.append(score)
    return found


def step_verdicts(text):
    """Whether each equation of a written solution is true: '7+5=12, 4+8=13, so 132' -> [True, False]

    A step that is no equation counts as false; the final 'so 132' is no step.
    """
    parts = [part for part in text.split(",") if part.strip() and not part.strip().startswith("so")]
    return [_true(EQUATION.fullmatch(part)) for part in parts]


def _true(equation):
    if equation is None:
        return False
    terms = re.findall(r"[+-]?\d+", equation[1])
    return sum(map(int, terms)) == int(equation[2])
