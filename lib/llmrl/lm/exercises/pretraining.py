"""Exercises on what pre-training is measured by: entropy, perplexity, and the split a scaling law asks for.

Each checker probes the case somebody gets wrong: tokens that never occur, rows of different lengths, exponents that
differ. Left out: the steps themselves, which are in `training`.
"""

import math

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.lm import ngram, scaling
from llmrl.lm.logprobs import masked_mean
from llmrl.lm.scaling import Law


def _frequencies(ids, vocab):
    return torch.bincount(ids.flatten(), minlength=vocab).double() / ids.numel()


def _joint(ids, vocab):
    return torch.bincount((ids[:, :-1] * vocab + ids[:, 1:]).flatten(), minlength=vocab**2).double().view(vocab, vocab)


@exercise(
    "lm.entropy",
    title="What a guesser pays who knows the last token",
    signature="entropy(ids: (R, T), vocab, order) -> float, in nats; order 1 knows frequencies, order 2 the last token",
    solution="llmrl.lm.ngram.entropy",
    minutes=15,
    difficulty=2,
    hints=(
        "Order 1: count every token, divide by the number of tokens, sum -p log p over those that occur.",
        "Order 2: the entropy of pairs minus that of the first of each pair. Pairs do not cross from row to row.",
    ),
    wrong=(
        Wrong(
            "the logarithm is the natural one, so that the result compares with a loss; base two gives bits",
            lambda ids, vocab, order: ngram.entropy(ids, vocab, order) / math.log(2),
        ),
        Wrong(
            "a token that never occurs gives 0 log 0, which is nan here and counts as 0",
            lambda ids, vocab, order: -((p := _frequencies(ids, vocab)) * p.log()).sum().item(),
        ),
        Wrong(
            "this is the entropy of pairs; subtract what the first of the two costs alone",
            lambda ids, vocab, order: torch.special.entr(_joint(ids, vocab) / _joint(ids, vocab).sum()).sum().item(),
        ),
        Wrong(
            "the order was ignored: with order 2 the guesser knows the token before",
            lambda ids, vocab, order: ngram.entropy(ids, vocab),
        ),
        Wrong(
            "the rows were laid end to end, which makes pairs that no text contains",
            lambda ids, vocab, order: ngram.entropy(ids.reshape(1, -1), vocab, order),
        ),
        Wrong("entropy is positive: mind the sign", lambda ids, vocab, order: -ngram.entropy(ids, vocab, order)),
        Wrong(
            "this is what guessing blindly costs; the frequencies of this text are known",
            lambda ids, vocab, order: math.log(vocab),
        ),
        Wrong(
            "every token was weighed alike; a frequent one counts as often as it comes",
            lambda ids, vocab, order: -(p := _frequencies(ids, vocab))[p > 0].log().mean().item(),
        ),
    ),
)
def entropy(answer, solution):
    ids = torch.tensor([[0, 1, 0, 2, 0, 1], [1, 1, 0, 1, 2, 2]])
    for case, vocab, order in (
        ("with order 1", 3, 1),
        ("with a token that never occurs", 4, 1),
        ("with order 2", 4, 2),
    ):
        yield differs(answer(ids, vocab, order), solution(ids, vocab, order), case)


@exercise(
    "lm.perplexity",
    title="Perplexity of a batch with padding",
    signature="perplexity(logp: (B, T), mask: (B, T) bool) -> number, a tensor of shape ()",
    solution="llmrl.lm.logprobs.perplexity",
    minutes=6,
    difficulty=1,
    hints=(
        "One mean over all marked tokens of the batch, then a minus, then exp.",
        "masked_mean(logp, mask) is that mean; padding may hold anything, even nan.",
    ),
    wrong=(
        Wrong("this is the loss; perplexity is its exp", lambda logp, mask: -masked_mean(logp, mask)),
        Wrong("the minus is missing: log-probabilities are negative", lambda logp, mask: masked_mean(logp, mask).exp()),
        Wrong(
            "every row got one vote; every token has one, so a long text counts for more",
            lambda logp, mask: (-masked_mean(logp, mask, 1).mean()).exp(),
        ),
        Wrong(
            "the mean comes before exp: averaging each text's perplexity lets the worst text decide",
            lambda logp, mask: (-masked_mean(logp, mask, 1)).exp().mean(),
        ),
        Wrong(
            "the mean comes before exp: averaging 1/p lets the rarest token decide",
            lambda logp, mask: masked_mean((-logp).exp(), mask),
        ),
        Wrong("padding was counted: only what the mask marks", lambda logp, mask: (-logp.mean()).exp()),
        Wrong(
            "the sum was divided by all positions, padding too",
            lambda logp, mask: (-torch.where(mask, logp, 0.0).mean()).exp(),
        ),
        Wrong(
            "log-probabilities are natural: exp, not a power of two", lambda logp, mask: 2 ** -masked_mean(logp, mask)
        ),
    ),
)
def perplexity(answer, solution):
    logp = torch.tensor([[-1.0, -9.0, -9.0], [-2.0, -3.0, -6.0]])
    mask = torch.tensor([[True, False, False], [True, True, True]])
    yield differs(answer(logp, mask), solution(logp, mask), "on rows of one token and of three")
    holes = torch.where(mask, logp, torch.nan)
    yield differs(answer(holes, mask), solution(holes, mask), "on the same rows with nan in the padding")


def _swapped(law, compute):
    return scaling.split(law, compute)[::-1]


@exercise(
    "lm.split",
    title="The best size for a given amount of compute",
    signature="split(law with E, A, alpha, B, beta, compute) -> N, D with 6 N D = compute; two floats",
    solution="llmrl.lm.scaling.split",
    minutes=15,
    difficulty=3,
    hints=(
        "Put D = C / (6N) into A/N^alpha + B/D^beta and set the slope in N to zero: alpha A/N^alpha = beta B/D^beta.",
        "So N^(alpha + beta) = (alpha A) / (beta B) (C/6)^beta; take the root, then D = C / (6 N).",
    ),
    wrong=(
        Wrong("the two are swapped: parameters first, then tokens", _swapped),
        Wrong(
            "this spends N D = C; a token costs about six operations per parameter",
            lambda law, c: scaling.split(law, 6 * c),
        ),
        Wrong(
            "the terms were made equal; their slopes have to be: alpha A/N^alpha = beta B/D^beta",
            lambda law, c: (
                n := (law.A / law.B * (c / 6) ** law.beta) ** (1 / (law.alpha + law.beta)),
                c / (6 * n),
            ),
        ),
        Wrong(
            "the power of C is beta / (alpha + beta): the slower a term falls, the more of the compute it needs",
            lambda law, c: (
                n := (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
                * (c / 6) ** (law.alpha / (law.alpha + law.beta)),
                c / (6 * n),
            ),
        ),
        Wrong(
            "half of the exponent each is right only when alpha equals beta",
            lambda law, c: (
                n := (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta)) * (c / 6) ** 0.5,
                c / (6 * n),
            ),
        ),
        Wrong(
            "twenty tokens per parameter was the answer to another law; this one has numbers of its own",
            lambda law, c: ((c / 120) ** 0.5, 20 * (c / 120) ** 0.5),
        ),
        Wrong(
            "the root is missing: N to the power of alpha + beta was found",
            lambda law, c: (n := law.alpha * law.A / (law.beta * law.B) * (c / 6) ** law.beta, c / (6 * n)),
        ),
    ),
)  # fmt: skip
def split(answer, solution):
    for case, law in {
        "with equal exponents": Law(1.7, 400.0, 0.5, 100.0, 0.5),
        "with exponents 0.3 and 0.6": Law(0.5, 20.0, 0.3, 5000.0, 0.6),
    }.items():
        yield differs(answer(law, 6e12), solution(law, 6e12), case)
