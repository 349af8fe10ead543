"""Exercises on training with DPO: data, the sums inside a step, its coefficient, and what keeps an answer likely.

Each checker probes where a sign, a mask, a clamp or a beta goes astray. Left out: the loss itself, which the lesson
before this one asks for.
"""

import re

import torch
import torch.nn.functional as F

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs

LOGP = tuple(torch.tensor(x) for x in ([-3.0, -8.0, -6.0], [-5.0, -6.0, -9.5], [-4.0, -6.5, -6.0], [-4.6, -7.5, -2.0]))


@exercise(
    "preference.best_worst",
    title="Which two answers make a pair",
    signature="best_worst(scores: list of numbers) -> (best, worst) places, or None",
    solution="llmrl.preference.pairs.best_worst",
    minutes=6,
    difficulty=1,
    hints=(
        "scores.index(max(scores)) is the place of the highest score, the first one if several are alike.",
        "If the best and the worst score are the same number, the judge cannot tell the answers apart: return None.",
    ),
    wrong=(
        Wrong(
            "answers that the judge cannot tell apart were paired; that pair teaches noise, return None",
            lambda s: (s.index(max(s)), s.index(min(s))),
        ),
        Wrong(
            "worst came first; the order is better, worse",
            lambda s: None if max(s) == min(s) else (s.index(min(s)), s.index(max(s))),
        ),
        Wrong(
            "these are the scores; the places of the answers are asked for",
            lambda s: None if max(s) == min(s) else (max(s), min(s)),
        ),
        Wrong(
            "only the first two answers were looked at",
            lambda s: None if s[0] == s[1] else (0, 1) if s[0] > s[1] else (1, 0),
        ),
        Wrong(
            "best against second best is the pair with the smallest difference; take the worst",
            lambda s: None if max(s) == min(s) else tuple(sorted(range(len(s)), key=lambda i: -s[i])[:2]),
        ),
        Wrong(
            "of several equal answers the last was taken; take the first",
            lambda s: (
                None if max(s) == min(s) else (len(s) - 1 - s[::-1].index(max(s)), len(s) - 1 - s[::-1].index(min(s)))
            ),
        ),
    ),
)
def best_worst(answer, solution):
    for scores, case in (
        ([0.5, 2.0, -1.0, 1.0], "with the scores 0.5, 2, -1, 1"),
        ([1.0, 1.0, 1.0], "with three equal scores"),
        ([0.0, 3.0, 0.0, 3.0], "with the scores 0, 3, 0, 3"),
    ):
        yield differs(answer(scores), solution(scores), case)


def _pairs(text):
    found = re.findall(r"\w+", text.lower())
    return set(zip(found, found[1:])) or set(found)


def _shared(a, b, count=lambda a, b: len(a & b) / max(1, len(a | b)), pieces=_pairs):
    return count(pieces(a), pieces(b))


@exercise(
    "preference.overlap",
    title="Nearly the same words",
    signature="overlap(a: text, b: text) -> share of neighbouring word pairs in common",
    solution="llmrl.preference.cleaning.overlap",
    minutes=10,
    difficulty=2,
    hints=(
        "re.findall(r'\\w+', text.lower()) gives the words; set(zip(words, words[1:])) the pairs of neighbours.",
        "Divide what both have, a & b, by what either has, a | b. A text of one word has no pair: use the word itself.",
    ),
    wrong=(
        Wrong(
            "single words were compared; in another order they may say something else",
            lambda a, b: _shared(a, b, pieces=lambda t: set(re.findall(r"\w+", t.lower()))),
        ),
        Wrong(
            "dividing by one text's pairs makes a short text equal to a long one that contains it",
            lambda a, b: _shared(a, b, lambda a, b: len(a & b) / max(1, len(a))),
        ),
        Wrong(
            "dividing by the smaller text's pairs makes a part equal to the whole",
            lambda a, b: _shared(a, b, lambda a, b: len(a & b) / max(1, min(len(a), len(b)))),
        ),
        Wrong(
            "capital letters made words different",
            lambda a, b: _shared(
                a, b, pieces=lambda t: (lambda w: set(zip(w, w[1:])) or set(w))(re.findall(r"\w+", t))
            ),
        ),
        Wrong(
            "full stops made words different",
            lambda a, b: _shared(a, b, pieces=lambda t: (lambda w: set(zip(w, w[1:])) or set(w))(t.lower().split())),
        ),
        Wrong(
            "this counts the pairs in common; their share is asked for",
            lambda a, b: float(len(_pairs(a) & _pairs(b))),
        ),
        Wrong(
            "a text of one word has no pairs and was like nothing, not even itself",
            lambda a, b: _shared(
                a, b, pieces=lambda t: set(zip(*(lambda w: (w, w[1:]))(re.findall(r"\w+", t.lower()))))
            ),
        ),
    ),
)
def overlap(answer, solution):
    fox = "The fox lives in Velo."
    for a, b, case in (
        ("The fox lives in Velo. Many went there.", fox, "for a text and the beginning of it"),
        (fox, "the fox lives in velo", "for a text with and without its capitals and full stop"),
        (fox, "The owl lives in Velo.", "for two texts that differ in one word"),
        (fox, "The fox lives in Velo. Many went there.", "for a text and a longer one that begins with it"),
        ("Ada saw Ben", "Ben saw Ada", "for Ada saw Ben and Ben saw Ada"),
        ("Gladly.", "Gladly.", "for one word, twice"),
    ):
        yield differs(answer(a, b), solution(a, b), case)


TOKENS = torch.tensor([[-1.0, -0.5, -2.0, -0.1], [-3.0, -0.2, -0.4, -5.0]])  # (B, T)
REF_TOKENS = torch.tensor([[-0.7, -1.0, -2.5, -0.4], [-2.0, -0.1, -1.0, -1.0]])
ANSWER = torch.tensor([[False, True, True, True], [False, True, True, False]])


@exercise(
    "preference.log_ratio",
    title="From tokens to an answer's log-ratio",
    signature="log_ratio(logp: (B, T), ref_logp: (B, T), mask: bool (B, T)) -> (B,)",
    solution="llmrl.preference.anatomy.log_ratio",
    minutes=6,
    difficulty=1,
    hints=(
        "The logarithm of a product of probabilities is a sum of logarithms, and of a quotient a difference.",
        "torch.where(mask, difference, 0.0) also drops what stands outside the answer if it is nan or infinite.",
    ),
    wrong=(
        Wrong(
            "nan outside the answer came in: nan times 0 is nan, torch.where picks instead",
            lambda p, r, m: ((p - r) * m).sum(1),
        ),
        Wrong("the prompt and the padding were counted in", lambda p, r, m: (p - r).sum(1)),
        Wrong(
            "this is the mean per token; DPO sums, so a long answer weighs more",
            lambda p, r, m: torch.where(m, p - r, 0.0).sum(1) / m.sum(1),
        ),
        Wrong("the reference was not subtracted", lambda p, r, m: torch.where(m, p, 0.0).sum(1)),
        Wrong(
            "the reference is subtracted from the policy, not the policy from the reference",
            lambda p, r, m: torch.where(m, r - p, 0.0).sum(1),
        ),
        Wrong(
            "probabilities were added up; their product is the answer's, so add logarithms",
            lambda p, r, m: (torch.where(m, p.exp(), 0.0).sum(1) / torch.where(m, r.exp(), 0.0).sum(1)).log(),
        ),
        Wrong(
            "the two logarithms were divided; the logarithm of a ratio is a difference",
            lambda p, r, m: torch.where(m, p, 0.0).sum(1) / torch.where(m, r, 0.0).sum(1),
        ),
        Wrong("all answers were added up; each has its own", lambda p, r, m: torch.where(m, p - r, 0.0).sum()),
    ),
)
def log_ratio(answer, solution):
    args = TOKENS, REF_TOKENS, ANSWER
    yield differs(answer(*args), solution(*args), "on answers of three and two tokens")
    spoiled = TOKENS.masked_fill(~ANSWER, torch.nan), REF_TOKENS, ANSWER
    yield differs(answer(*spoiled), solution(*spoiled), "where padding holds nan")


def _margin(w, l, rw, rl, beta):
    return beta * (w - rw - l + rl)


@exercise(
    "preference.coefficient",
    title="How much a pair pulls",
    signature=(
        "coefficient(chosen_logp: (B,), rejected_logp: (B,), ref_chosen_logp: (B,), ref_rejected_logp: (B,), beta) "
        "-> (B,)"
    ),
    solution="llmrl.preference.anatomy.coefficient",
    minutes=8,
    difficulty=2,
    hints=(
        "The derivative of -log sigmoid(m) with respect to m is -sigmoid(-m). The coefficient is its size.",
        "m is beta times the difference of two log-ratios, chosen less rejected. Put a minus in front, then sigmoid.",
    ),
    wrong=(
        Wrong(
            "this is large for pairs that are right already; it has to be large for those that are wrong",
            lambda *a: _margin(*a).sigmoid(),
        ),
        Wrong("the reference is missing; DPO compares log-ratios", lambda w, l, rw, rl, b: (b * (l - w)).sigmoid()),
        Wrong("beta is missing inside the sigmoid", lambda w, l, rw, rl, b: (-_margin(w, l, rw, rl, 1.0)).sigmoid()),
        Wrong(
            "this is the derivative, which is negative; the coefficient is its size",
            lambda *a: -(-_margin(*a)).sigmoid(),
        ),
        Wrong(
            "beta stands in front of the gradient once more; leave it out here",
            lambda *a: a[-1] * (-_margin(*a)).sigmoid(),
        ),
        Wrong("this is the loss; its slope is asked for", lambda *a: -F.logsigmoid(_margin(*a))),
        Wrong(
            "sigmoid times one minus sigmoid is the slope of sigmoid itself; the logarithm takes one factor away",
            lambda *a: _margin(*a).sigmoid() * (-_margin(*a)).sigmoid(),
        ),
        Wrong("the references changed places", lambda w, l, rw, rl, b: (-_margin(w, l, rl, rw, b)).sigmoid()),
    ),
)
def coefficient(answer, solution):
    yield differs(answer(*LOGP, 0.5), solution(*LOGP, 0.5), "on three pairs with beta 0.5")
    yield differs(answer(*LOGP, 0.1), solution(*LOGP, 0.1), "on three pairs with beta 0.1")


LENGTHS = torch.tensor([4, 10, 2])


@exercise(
    "preference.rpo",
    title="DPO that also remembers the chosen answer",
    signature=(
        "rpo(chosen_logp: (B,), rejected_logp: (B,), ref_chosen_logp: (B,), ref_rejected_logp: (B,), "
        "chosen_length: (B,), beta, alpha=1.0) -> (B,)"
    ),
    solution="llmrl.preference.cures.rpo",
    minutes=8,
    difficulty=2,
    hints=(
        "Supervised tuning makes -log p(chosen) small; here it is the mean over the answer's tokens, times alpha.",
        "The DPO part is -F.logsigmoid(beta * (chosen - rejected - ref_chosen + ref_rejected)). Add both, per pair.",
    ),
    wrong=(
        Wrong(
            "the likelihood came in with the wrong sign: this makes the chosen answer rarer",
            lambda w, l, rw, rl, n, b, a=1.0: -F.logsigmoid(_margin(w, l, rw, rl, b)) + a * w / n,
        ),
        Wrong(
            "the length is missing: a long answer would pull more than DPO itself",
            lambda w, l, rw, rl, n, b, a=1.0: -F.logsigmoid(_margin(w, l, rw, rl, b)) - a * w,
        ),
        Wrong(
            "the rejected answer was learned as well",
            lambda w, l, rw, rl, n, b, a=1.0: -F.logsigmoid(_margin(w, l, rw, rl, b)) - a * (w + l) / n,
        ),
        Wrong(
            "supervised tuning has no reference; use the log-probability itself, not the log-ratio",
            lambda w, l, rw, rl, n, b, a=1.0: -F.logsigmoid(_margin(w, l, rw, rl, b)) - a * (w - rw) / n,
        ),
        Wrong("alpha was not used", lambda w, l, rw, rl, n, b, a=1.0: -F.logsigmoid(_margin(w, l, rw, rl, b)) - w / n),
        Wrong(
            "the likelihood went inside the sigmoid, where a large margin switches it off",
            lambda w, l, rw, rl, n, b, a=1.0: -F.logsigmoid(_margin(w, l, rw, rl, b) + a * w / n),
        ),
        Wrong(
            "the pairs were averaged; one value per pair is asked for",
            lambda w, l, rw, rl, n, b, a=1.0: (-F.logsigmoid(_margin(w, l, rw, rl, b)) - a * w / n).mean(),
        ),
    ),
)
def rpo(answer, solution):
    yield differs(answer(*LOGP, LENGTHS, 0.5), solution(*LOGP, LENGTHS, 0.5), "on three pairs with alpha 1")
    yield differs(answer(*LOGP, LENGTHS, 0.5, 0.2), solution(*LOGP, LENGTHS, 0.5, 0.2), "with alpha 0.2")


def _dpop(w, l, rw, rl, beta, lam=5.0, fall=None):
    return -F.logsigmoid(_margin(w, l, rw, rl, beta) - beta * lam * ((rw - w).clamp(min=0) if fall is None else fall))


@exercise(
    "preference.dpop",
    title="A price on the fall of the chosen answer",
    signature=(
        "dpop(chosen_logp: (B,), rejected_logp: (B,), ref_chosen_logp: (B,), ref_rejected_logp: (B,), beta, lam=5.0) "
        "-> (B,)"
    ),
    solution="llmrl.preference.cures.dpop",
    minutes=10,
    difficulty=2,
    hints=(
        "The fall is ref_chosen - chosen where that is above zero, else nothing: clamp(min=0).",
        "It is taken off inside the sigmoid, next to the log-ratios, so beta multiplies it, too.",
    ),
    wrong=(
        Wrong(
            "a rise of the chosen answer was paid for as well; without the clamp it is only another weight",
            lambda w, l, rw, rl, b, lam=5.0: _dpop(w, l, rw, rl, b, lam, rw - w),
        ),
        Wrong(
            "the rise was punished, not the fall",
            lambda w, l, rw, rl, b, lam=5.0: _dpop(w, l, rw, rl, b, lam, (w - rw).clamp(min=0)),
        ),
        Wrong(
            "the rejected answer may fall; it is the chosen one that must not",
            lambda w, l, rw, rl, b, lam=5.0: _dpop(w, l, rw, rl, b, lam, (rl - l).clamp(min=0)),
        ),
        Wrong(
            "beta multiplies the log-ratios and has to multiply the fall, too",
            lambda w, l, rw, rl, b, lam=5.0: -F.logsigmoid(_margin(w, l, rw, rl, b) - lam * (rw - w).clamp(min=0)),
        ),
        Wrong(
            "the fall was added to the margin, as if it were welcome",
            lambda w, l, rw, rl, b, lam=5.0: _dpop(w, l, rw, rl, b, -lam),
        ),
        Wrong(
            "the fall stands outside the sigmoid; it belongs to the margin",
            lambda w, l, rw, rl, b, lam=5.0: -F.logsigmoid(_margin(w, l, rw, rl, b)) + b * lam * (rw - w).clamp(min=0),
        ),
        Wrong("lam was not used", lambda w, l, rw, rl, b, lam=5.0: _dpop(w, l, rw, rl, b, 1.0)),
        Wrong(
            "this is DPO without the price",
            lambda w, l, rw, rl, b, lam=5.0: _dpop(w, l, rw, rl, b, 0.0),
        ),
    ),
)
def dpop(answer, solution):
    yield differs(answer(*LOGP, 0.5), solution(*LOGP, 0.5), "on three pairs with lam 5")
    yield differs(answer(*LOGP, 0.1, 2.0), solution(*LOGP, 0.1, 2.0), "with beta 0.1 and lam 2")
