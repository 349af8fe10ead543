"""Exercises on one step of training: the learning rate, the clipped gradient, AdamW.

Each checker probes the case somebody gets wrong: the last step of warm-up, a gradient that is short already, the
correction of the first steps. Left out: the loop around them.
"""

import math

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.lm import optimizer
from llmrl.lm.training import Plan


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
            "the decay entered the gradient, where the division undoes it, as in Adam with L2; shrink the weight",
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
