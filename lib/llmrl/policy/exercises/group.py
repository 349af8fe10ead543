"""Exercises on groups of answers.

Each checker probes the group in which something degenerate happens. Left out: advantages over time.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs

EPS = 1e-4


@exercise(
    "policy.group_advantage",
    title="Better than its siblings",
    signature="group_advantage(rewards: (P, G)) -> (P, G)",
    solution="llmrl.policy.advantages.group_advantage",
    minutes=8,
    difficulty=1,
    hints=(
        "Each row holds the rewards of one prompt's answers. Take the row's mean off, then divide by its deviation.",
        "rewards.mean(1, keepdim=True) keeps the shape (P, 1); rewards.std(1, keepdim=True) + 1e-4 is never 0.",
    ),
    wrong=(
        Wrong(
            "a deviation of 0 was treated apart; the rule adds 1e-4 to every deviation, so small ones do not blow up",
            lambda r: torch.where((s := r.std(1, keepdim=True)) > 0, (r - r.mean(1, True)) / s, 0.0),
        ),
        Wrong(
            "mean and deviation are the prompt's own; these are of all prompts together",
            lambda r: (r - r.mean()) / (r.std() + EPS),
        ),
        Wrong(
            "the deviation is the prompt's own, so that every prompt pulls alike",
            lambda r: (r - r.mean(1, True)) / (r.std() + EPS),
        ),
        Wrong(
            "that is the variance; the deviation is its root",
            lambda r: (r - r.mean(1, True)) / (r.var(1, keepdim=True) + EPS),
        ),
        Wrong(
            "the mean is the prompt's own, not that of all prompts",
            lambda r: (r - r.mean()) / (r.std(1, keepdim=True) + EPS),
        ),
        Wrong(
            "answers are compared along dimension 1, those of one prompt", lambda r: (r - r.mean(0)) / (r.std(0) + EPS)
        ),
        Wrong("divide by the deviation, so that hard and easy prompts pull alike", lambda r: r - r.mean(1, True)),
        Wrong(
            "where all answers earn the same the deviation is 0; add 1e-4 before dividing",
            lambda r: (r - r.mean(1, True)) / r.std(1, keepdim=True),
        ),
        Wrong(
            "divide by the deviation with G-1 below, as torch's std does",
            lambda r: (r - r.mean(1, True)) / (r.std(1, correction=0, keepdim=True) + EPS),
        ),
    ),
)
def group_advantage(answer, solution):
    for case, rewards in {
        "where all answers earn the same": torch.ones(2, 4),
        "on two prompts of different scale": torch.tensor([[1.0, 2.0, 3.0], [30.0, 10.0, 20.0]]),
        "on one right answer among four, twice": torch.tensor([[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]),
    }.items():
        yield differs(answer(rewards), solution(rewards), case)
