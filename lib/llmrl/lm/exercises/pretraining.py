"""Exercises on pre-training: its yardsticks, its schedule, its optimizer, its scaling law.

Each checker probes the case somebody gets wrong: tokens that never occur, rows of different lengths, the last step of
warm-up, a gradient that is short already, the correction of the first steps. Left out: the training loop itself.
"""

import math

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.lm import ngram, optimizer, scaling
from llmrl.lm.logprobs import masked_mean
from llmrl.lm.scaling import Law
from llmrl.lm.training import Plan


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


def _rate(step, plan, rise=None, done=None, share=None):
    if step < plan.warmup:
        return plan.lr * (rise(step, plan) if rise else (step + 1) / plan.warmup)
    done = done(step, plan) if done else (step - plan.warmup) / (plan.steps - plan.warmup)
    cosine = (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return plan.lr * (share(cosine, plan) if share else plan.final + (1 - plan.final) * cosine)


@exercise(
    "lm.learning_rate",
    title="Warm-up and cosine",
    signature="learning_rate(step, plan with steps, lr, warmup, final) -> float; step counts from 0",
    solution="llmrl.lm.training.learning_rate",
    minutes=12,
    difficulty=2,
    hints=(
        "Below warmup the rate is lr times (step + 1) / warmup, so that the first step already learns.",
        "Then done = (step - warmup) / (steps - warmup) goes from 0 to 1, and (1 + cos(pi done)) / 2 from 1 to 0.",
    ),
    wrong=(
        Wrong(
            "the first step has rate 0 and learns nothing: count warm-up from 1",
            lambda step, plan: _rate(step, plan, rise=lambda s, p: s / p.warmup),
        ),
        Wrong(
            "the cosine runs over the steps after warm-up, from 0 to 1",
            lambda step, plan: _rate(step, plan, done=lambda s, p: s / p.steps),
        ),
        Wrong(
            "final is the share of lr that is left at the end; this cosine ends at zero",
            lambda step, plan: _rate(step, plan, share=lambda c, p: c),
        ),
        Wrong(
            "the cosine has to shrink to the room above final, or the rate begins above lr",
            lambda step, plan: _rate(step, plan, share=lambda c, p: p.final + c),
        ),
        Wrong("warm-up is missing", lambda step, plan: _rate(max(step, plan.warmup), plan)),
        Wrong(
            "after warm-up the rate fell along a line; a cosine stays high longer and lands softly",
            lambda step, plan: _rate(
                step,
                plan,
                share=lambda c, p: 1 - (1 - p.final) * min(1.0, (step - p.warmup) / (p.steps - p.warmup)),
            ),
        ),
        Wrong(
            "a whole cosine goes down and up again; half of one, pi and not two pi, only goes down",
            lambda step, plan: _rate(step, plan, done=lambda s, p: 2 * (s - p.warmup) / (p.steps - p.warmup)),
        ),
        Wrong(
            "these are shares of the highest rate; multiply by lr",
            lambda step, plan: _rate(step, plan) / plan.lr,
        ),
    ),
)
def learning_rate(answer, solution):
    plan = Plan(steps=30, lr=0.5, warmup=10, final=0.2)
    for case, step in {
        "at the first step": 0,
        "at the last step of warm-up": 9,
        "at the first step after it": 10,
        "half-way down": 20,
        "at three quarters": 25,
        "at the end": 30,
    }.items():
        yield differs(answer(step, plan), solution(step, plan), case)
    bare = Plan(steps=8, lr=1.0, warmup=0, final=0.0)
    yield differs(answer(0, bare), solution(0, bare), "at the first step of a plan without warm-up")


def _scaled(gradients, share):
    return [gradient * share for gradient in gradients], optimizer.clip(gradients, 1.0)[1]


@exercise(
    "lm.clip",
    title="Clip a gradient",
    signature="clip(gradients: list of tensors, longest) -> clipped gradients, the length before: a tensor of shape ()",
    solution="llmrl.lm.optimizer.clip",
    minutes=8,
    difficulty=1,
    hints=(
        "One length for all tensors together: the root of the sum of all squares.",
        "Multiply every tensor by longest / length, but never by more than 1.",
    ),
    wrong=(
        Wrong(
            "every tensor was clipped by itself, which turns the gradient: one length for all of them",
            lambda g, longest: ([optimizer.clip([x], longest)[0][0] for x in g], optimizer.clip(g, 1.0)[1]),
        ),
        Wrong(
            "numbers were cut off one by one, which turns the gradient: multiply all of them by one number",
            lambda g, longest: ([x.clamp(-longest, longest) for x in g], optimizer.clip(g, 1.0)[1]),
        ),
        Wrong(
            "a short gradient was stretched; clipping only ever shortens",
            lambda g, longest: _scaled(g, longest / optimizer.clip(g, 1.0)[1]),
        ),
        Wrong(
            "the length is the root of the sum of squares; here the root is missing",
            lambda g, longest: (
                _scaled(g, (longest / optimizer.clip(g, 1.0)[1] ** 2).clamp(max=1.0))[0],
                optimizer.clip(g, 1.0)[1] ** 2,
            ),
        ),
        Wrong(
            "lengths do not add up; their squares do",
            lambda g, longest: (
                _scaled(g, (longest / sum(x.norm() for x in g)).clamp(max=1.0))[0],
                sum(x.norm() for x in g),
            ),
        ),
        Wrong(
            "report the length before clipping; after it, every long gradient looks alike",
            lambda g, longest: (optimizer.clip(g, longest)[0], optimizer.clip(optimizer.clip(g, longest)[0], 1.0)[1]),
        ),
        Wrong("nothing was clipped", lambda g, longest: (list(g), optimizer.clip(g, 1.0)[1])),
    ),
)
def clip(answer, solution):
    gradients = [torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([12.0])]  # of length 13
    for case, longest in (
        ("to length 1.3", 1.3),
        ("to length 6.5", 6.5),
        ("to length 20, which it does not reach", 20.0),
    ):
        yield differs(answer(gradients, longest), solution(gradients, longest), case)


def _adam(corrected=True, squared=True, inside=False, coupled=False, outside=True):
    """AdamW with a slip."""

    def step(weight, gradient, state, lr, weight_decay):
        gradient = gradient + weight_decay * weight if coupled else gradient
        t, m, v = state[0] + 1, 0.9 * state[1] + 0.1 * gradient, 0.95 * state[2] + 0.05 * gradient**2
        mean, square = (m / (1 - 0.9**t), v / (1 - 0.95**t)) if corrected else (m, v)
        root = (square + 1e-8).sqrt() if inside else square.sqrt() + 1e-8 if squared else square + 1e-8
        keep = 1 - lr * weight_decay if outside and not coupled else 1.0
        return keep * weight - lr * mean / root, (t, m, v)

    return step


@exercise(
    "lm.adamw_step",
    title="One step of AdamW",
    signature="adamw_step(weight, gradient, state: (t, m, v), lr, weight_decay) -> weight, (t, m, v); "
    "betas 0.9 and 0.95, eps 1e-8",
    solution="llmrl.lm.optimizer.adamw_step",
    minutes=15,
    difficulty=3,
    hints=(
        "Count the step first: t + 1. Then both averages, then divide each by 1 - beta to the power of t.",
        "Weight decay multiplies the weight by 1 - lr * weight_decay and never enters the averages.",
    ),
    wrong=(
        Wrong(
            "both averages start at zero and are too small at first: divide by 1 - beta**t",
            _adam(corrected=False),
        ),
        Wrong("divide by the root of the average square, not by the square", _adam(squared=False)),
        Wrong(
            "the decay entered the gradient, where the division undoes it, as in Adam with L2: shrink the weight itself",
            _adam(coupled=True),
        ),
        Wrong("the weight decay is missing", _adam(outside=False)),
        Wrong("eps is added after the root", _adam(inside=True)),
        Wrong(
            "the step went uphill: subtract it",
            lambda w, g, s, lr, wd: (2 * (1 - lr * wd) * w - (new := optimizer.adamw_step(w, g, s, lr, wd))[0], new[1]),
        ),
        Wrong(
            "the decay is lr * weight_decay per step; the learning rate is missing in it",
            lambda w, g, s, lr, wd: (
                (new := optimizer.adamw_step(w, g, s, lr, wd))[0] + (lr * wd - wd) * w,
                new[1],
            ),
        ),
        Wrong(
            "the new averages were not handed on",
            lambda w, g, s, lr, wd: (optimizer.adamw_step(w, g, s, lr, wd)[0], s),
        ),
    ),
)
def adamw_step(answer, solution):
    weight, gradient, zero = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 1e-8]), torch.zeros(2)
    first = weight, gradient, (0, zero, zero), 0.1, 0.0
    yield differs(answer(*first), solution(*first), "at the first step, without weight decay")
    later = weight, gradient, (3, torch.tensor([0.2, -0.1]), torch.tensor([0.1, 0.3])), 0.1, 0.5
    yield differs(answer(*later), solution(*later), "at the fourth step, with weight decay 0.5")


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
