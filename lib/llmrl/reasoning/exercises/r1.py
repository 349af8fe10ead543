"""Exercises on rewards that can be verified and on what a model can do in many tries.

Each checker probes where a rule has its hole: text around the form, a well-formed mistake, all answers right.
Left out: training runs.
"""

import re
from math import ceil, comb, log

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.reasoning import verifiable
from llmrl.toy.tasks import Item
from llmrl.tuning.chat import exchange

ITEM = Item("add", "What is 47+85?", "132", "7+5=12, 4+8+1=13, so 132")
COLUMN = r"\d(\+\d)+=\d{1,2}"


def _matches(pattern, method="fullmatch", strip=True):
    """A wrong version of the form: another pattern, or another way to apply it."""

    def wrong(item, text):
        return float(getattr(re, method)(pattern, text.strip() if strip else text) is not None)

    return wrong


@exercise(
    "reasoning.form",
    title="Is it well-formed?",
    signature="form(item, text) -> 1.0 or 0.0",
    solution="llmrl.reasoning.verifiable.form",
    minutes=10,
    difficulty=1,
    hints=(
        "A column is a digit, one or two more digits each behind a plus, an equals sign, one or two digits. Behind "
        "every column stand a comma and a space; at the end 'so' and a number. The item is not needed.",
        r"A column is \d(\+\d)+=\d{1,2}; a group with its comma and space can be repeated with +. re.fullmatch asks "
        "for the whole text, without the spaces around it, and returns a match or None.",
    ),
    wrong=(
        Wrong(
            "words behind the form were let through: match looks at the beginning only, fullmatch at all of it",
            _matches(rf"({COLUMN}, )+so \d+", "match"),
        ),
        Wrong(
            "words before or behind were let through: the whole text has to have the form, so take fullmatch",
            _matches(rf"({COLUMN}, )+so \d+", "search"),
        ),
        Wrong(
            "a text without any column is no working: one or more, + in the pattern, not *",
            _matches(rf"({COLUMN}, )*so \d+"),
        ),
        Wrong("spaces around a text say nothing: strip it first", _matches(rf"({COLUMN}, )+so \d+", strip=False)),
        Wrong("a column may have a carry as third digit: 4+8+1=13", _matches(r"(\d\+\d=\d{1,2}, )+so \d+")),
        Wrong(
            "47+85=132 is the question again, not a column: single digits on the left, one or two on the right",
            _matches(r"(\d+(\+\d+)+=\d+, )+so \d+"),
        ),
        Wrong(
            "whether it is true is another rule's business: this one looks at the form alone",
            lambda item, text: float(verifiable.form(item, text) and verifiable.accuracy(item, text)),
        ),
    ),
)
def form(answer, solution):
    for text in (
        "7+5=12, 4+8+1=13, so 132",
        " 7+5=12, 4+8=12, so 132\n",
        "so 132",
        "47+85=132, so 132",
        "well: 7+5=12, so 132",
        "7+5=12, so 132 I think",
        "0+0=0, so 0",
        "132",
        "7+5=12, 4+8+1=13",
    ):
        yield differs(answer(ITEM, text), solution(ITEM, text), f"on the text {text!r}")


RIGHT, WRITTEN = "132", "1+1=2, so 131"
SECOND = Item("add", "What is 2+2?", "4", "2+2=4, so 4")
SAID = [[RIGHT, WRITTEN, ITEM.steps, "5+7=12, 8+4+1=13, so 132"], ["4", "2+2=5, so 5", "2+3=5, so 5", "four"]]


def _picked(good, which=0):
    """A wrong version of the choice: another idea of good, or another one of the good."""

    def wrong(items, said):
        found = [(i, [t for t in texts if good(i, t)]) for i, texts in zip(items, said)]
        return [exchange(i.prompt, texts[which]) for i, texts in found if texts]

    return wrong


def _both(item, text):
    return verifiable.accuracy(item, text) and verifiable.form(item, text)


@exercise(
    "reasoning.accepted",
    title="Keep what a rule finds right",
    signature="accepted(items: P items, said: P lists of texts) -> list of conversations",
    solution="llmrl.reasoning.r1.accepted",
    minutes=10,
    difficulty=1,
    hints=(
        "For every item look through its texts for the first that is right and well-formed; an item without one is "
        "left out.",
        "verifiable.accuracy(item, text) and verifiable.form(item, text) judge; exchange(item.prompt, text) of "
        "llmrl.tuning.chat makes the conversation.",
    ),
    wrong=(
        Wrong("a right number without its columns was kept: it has to be right and well-formed",
              _picked(verifiable.accuracy)),
        Wrong("a well-formed mistake was kept: that teaches the mistake", _picked(verifiable.form)),
        Wrong("one answer per item, the first good one; here it was the last", _picked(_both, -1)),
        Wrong(
            "every good answer was kept: one per item, or easy questions crowd out the others",
            lambda items, said: [exchange(i.prompt, t) for i, texts in zip(items, said) for t in texts if _both(i, t)],
        ),
        Wrong(
            "an item nobody solved is left out: the solution by rule is not the model's own",
            lambda items, said: [
                exchange(i.prompt, next((t for t in texts if _both(i, t)), i.steps)) for i, texts in zip(items, said)],
        ),
        Wrong(
            "the texts alone were returned; tuning needs the question too: chat.exchange(item.prompt, text)",
            lambda items, said: [
                t for i, texts in zip(items, said) if (t := next((t for t in texts if _both(i, t)), None))],
        ),
    ),
)  # fmt: skip
def accepted(answer, solution):
    yield differs(answer([ITEM], SAID[:1]), solution([ITEM], SAID[:1]), "on four answers, two of them good")
    both = [ITEM, SECOND]
    yield differs(answer(both, SAID), solution(both, SAID), "where the second item was never solved in columns")
    written = [["1+1=3, so 5", SECOND.steps]]
    yield differs(answer([SECOND], written), solution([SECOND], written), "where the first answer is a mistake")


def _counts(right):
    return torch.as_tensor(right, dtype=torch.float64)


@exercise(
    "reasoning.pass_at_k",
    title="The chance that one of k is right",
    signature="pass_at_k(right: tensor (P,), n, k) -> tensor (P,) float64",
    solution="llmrl.reasoning.pass_at_k.pass_at_k",
    minutes=12,
    difficulty=2,
    hints=(
        "All k are wrong if they were chosen among the n-c wrong ones: comb(n-c, k) ways of comb(n, k). math.comb has "
        "whole numbers of any size and gives 0 where k > n-c.",
        "Go through right one c at a time, int(c) for math.comb, and put the results into a torch tensor of float64. "
        "The library's product of 1 - k/i, for i from n-c+1 to n, is the same without huge numbers.",
    ),
    wrong=(
        Wrong(
            "the share c/n was put into 1-(1-p)^k: on average that is too low, count the ways to choose instead",
            lambda right, n, k: 1 - (1 - _counts(right) / n) ** k,
        ),
        Wrong("that is the chance that all k are wrong", lambda right, n, k: torch.tensor(
            [comb(n - int(c), k) / comb(n, k) for c in right], dtype=torch.float64)),
        Wrong("that is the chance that all k are right", lambda right, n, k: torch.tensor(
            [comb(int(c), k) / comb(n, k) for c in right], dtype=torch.float64)),
        Wrong("that is the mean of k answers, pass@1 whatever k; one right answer among them is enough",
              lambda right, n, k: _counts(right) / n),
        Wrong("k times the share can exceed 1 and counts two right answers twice",
              lambda right, n, k: k * _counts(right) / n),
        Wrong("that asks whether any of all n answers is right; only k of them are drawn",
              lambda right, n, k: (_counts(right) > 0).double()),
    ),
)  # fmt: skip
def pass_at_k(answer, solution):
    for n, k, right in ((4, 2, [0, 1, 2, 3, 4]), (10, 5, [1, 4]), (200, 100, [1, 3])):
        right = torch.tensor(right)
        yield differs(answer(right, n, k), solution(right, n, k), f"with n = {n} and k = {k}")


def _first(reached):
    """A wrong version that asks something else of each k."""

    def wrong(right, n, target):
        return next((k for k in range(1, n + 1) if reached(_counts(right), n, k, target)), None)

    return wrong


def _means(right, n, k):
    from llmrl.reasoning.pass_at_k import pass_at_k

    return pass_at_k(right, n, k)


@exercise(
    "reasoning.tries_for",
    title="Worth how many tries?",
    signature="tries_for(right: (P,), n, target) -> k or None",
    solution="llmrl.reasoning.pass_at_k.tries_for",
    minutes=10,
    difficulty=2,
    hints=(
        "pass@k rises with k: try k = 1, 2, ... and stop at the first whose mean over the prompts reaches the target.",
        "from llmrl.reasoning.pass_at_k import pass_at_k; the mean of pass_at_k(right, n, k) is one number; leave "
        "1e-12 for rounding; return None behind the loop.",
    ),
    wrong=(
        Wrong(
            "the mean share was taken for every prompt's chance: prompts differ, and hard ones stay unsolved longest",
            lambda right, n, target: 1 if (p := (_counts(right) / n).mean().item()) >= target else
            None if p == 0 else min(n, max(1, ceil(log(max(1 - target, 1e-12)) / log(1 - p)))),
        ),
        Wrong("every prompt was to reach the target; the mean over prompts is enough",
              _first(lambda right, n, k, target: (_means(right, n, k) >= target - 1e-12).all())),
        Wrong("one prompt reached the target; the mean over prompts has to",
              _first(lambda right, n, k, target: (_means(right, n, k) >= target - 1e-12).any())),
        Wrong("reaching the target is enough, it need not be passed",
              _first(lambda right, n, k, target: _means(right, n, k).mean() > target + 1e-9)),
        Wrong("where even n tries do not reach the target the answer is None, not n",
              lambda right, n, target: next(
                  (k for k in range(1, n + 1) if _means(right, n, k).mean() >= target - 1e-12), n)),
        Wrong("k starts at 1: one try is a try",
              lambda right, n, target: next(
                  (k for k in range(2, n + 1) if _means(right, n, k).mean() >= target - 1e-12), None)),
    ),
)  # fmt: skip
def tries_for(answer, solution):
    cases = (([4, 5], 8, 0.5), ([1, 4], 8, 0.7), ([4, 4], 8, 0.5), ([1, 6, 8], 8, 0.75), ([0, 8], 8, 0.9))
    for right, n, target in cases:
        right = torch.tensor(right)
        case = f"for {right.tolist()} right of {n} and a target of {target}"
        yield differs(answer(right, n, target), solution(right, n, target), case)
