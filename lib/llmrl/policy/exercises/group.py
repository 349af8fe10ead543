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


@exercise(
    "policy.signal",
    title="Does this group teach anything?",
    signature="signal(p: (N,) chances of a right answer, answers: G) -> (N,)",
    solution="llmrl.policy.group_odds.signal",
    minutes=8,
    difficulty=1,
    hints=(
        "A group teaches nothing in two cases: all G answers are right, or all are wrong. Answers are independent.",
        "All right: p ** answers. All wrong: (1 - p) ** answers. The two cannot happen together.",
    ),
    wrong=(
        Wrong("a group whose answers are all wrong has no signal either", lambda p, G: 1 - p**G),
        Wrong(
            "that is the chance of at least one right answer; a group of nothing but right ones has no signal",
            lambda p, G: 1 - (1 - p) ** G,
        ),
        Wrong("that is the chance that all agree; the others are asked", lambda p, G: p**G + (1 - p) ** G),
        Wrong("these are two answers that differ; all G have a say", lambda p, G: 2 * p * (1 - p)),
        Wrong(
            "a right and a wrong answer in one group are not independent events; count what is left over",
            lambda p, G: (1 - p**G) * (1 - (1 - p) ** G),
        ),
        Wrong(
            "that is exactly one right answer; any number but 0 and G will do", lambda p, G: G * p * (1 - p) ** (G - 1)
        ),
    ),
)
def signal(answer, solution):
    p = torch.tensor([0.0, 0.05, 0.3, 0.5, 0.9, 1.0], dtype=torch.float64)
    for G in (2, 4, 16):
        yield differs(answer(p, G), solution(p, G), f"with {G} answers")


def _by_hand(answer=None, token=None, length=None):
    """A wrong version of the averages: where one is None it is right."""
    from llmrl.policy.surrogate import averaged

    def wrong(x, mask, how):
        other = {"answer": answer, "token": token, "length": length}[how.average]
        return other(x, mask, how) if other else averaged(x, mask, how)

    return wrong


def _total(x, mask):
    return torch.where(mask, x, 0.0).sum()


@exercise(
    "policy.averaged",
    title="What weighs the same",
    signature="averaged(x: (B, T), mask: (B, T) bool, how) -> a number",
    solution="llmrl.policy.surrogate.averaged",
    minutes=12,
    difficulty=2,
    hints=(
        'how.average is "answer", "token" or "length"; with "length", how.length is the constant. masked_mean(x, mask, '
        "dim) of llmrl.lm.logprobs leaves out what the mask does, and is 0 where nothing is left.",
        '"answer": masked_mean(x, mask, 1).mean(). "token": masked_mean(x, mask). "length": the masked sum over '
        "len(x) * how.length. torch.where(mask, x, 0.0) forgets padding that is nan.",
    ),
    wrong=(
        Wrong(
            "each answer's mean weighs the same, however long it is; here its length counted",
            _by_hand(answer=lambda x, mask, how: _total(x, mask) / mask.sum()),
        ),
        Wrong(
            "with average=\"token\" one mean goes over the tokens of all answers; here each answer's was taken first",
            _by_hand(token=lambda x, mask, how: (torch.where(mask, x, 0.0).sum(1) / mask.sum(1).clamp(min=1)).mean()),
        ),
        Wrong(
            "padding was counted in a length: only tokens under the mask are there",
            _by_hand(answer=lambda x, mask, how: torch.where(mask, x, 0.0).mean()),
        ),
        Wrong(
            "padding was counted among the tokens",
            _by_hand(token=lambda x, mask, how: torch.where(mask, x, 0.0).mean()),
        ),
        Wrong(
            "the constant is how.length, not the longest row of the batch: it is to be the same in every batch",
            _by_hand(length=lambda x, mask, how: _total(x, mask) / x.numel()),
        ),
        Wrong(
            "divided by how.length, but not by the number of answers",
            _by_hand(length=lambda x, mask, how: _total(x, mask) / how.length),
        ),
        Wrong(
            "an answer without tokens counts as 0 and stays in the mean over answers",
            _by_hand(answer=lambda x, mask, how: (_total(x, mask) * 0 + torch.stack(
                [row[keep].mean() for row, keep in zip(x, mask) if keep.any()]).mean())),
        ),
    ),
)  # fmt: skip
def averaged(answer, solution):
    from llmrl.policy.surrogate import Surrogate

    mask = torch.tensor([[True, True, True, True], [True, False, False, False], [True, True, False, False]])
    x = torch.where(mask, torch.tensor([[1.0, -2.0, 0.5, 3.0], [4.0, 0, 0, 0], [-1.0, 2.5, 0, 0]]), torch.nan)
    for how in (Surrogate(), Surrogate(average="token"), Surrogate(average="length", length=10)):
        case = f'on three answers of 4, 1 and 2 tokens, average="{how.average}"'
        yield differs(answer(x, mask, how), solution(x, mask, how), case)
    silent = mask.clone()
    silent[1] = False
    yield differs(answer(x, silent, Surrogate()), solution(x, silent, Surrogate()), "where one answer has no token")
