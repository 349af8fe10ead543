"""Preference pairs from a model's own answers: prompts, several answers to each, a judge, and a rule that pairs them.

A pair teaches most where the model itself would write both sides. Best against worst takes the widest gap of a prompt;
any two takes what comes; both leave out prompts whose answers the judge cannot tell apart. Left out: pairs from
several models, and judges that are asked about two answers at once.
"""

from typing import NamedTuple

from llmrl.lm.generation import Sampling
from llmrl.tuning import sft


class Answered(NamedTuple):
    """A prompt with its answers and what a judge gave each."""

    prompt: str
    answers: tuple
    scores: tuple


def collect(model, prompts, judge, each=4, generator=None, max_new=112):
    """Several sampled answers to every prompt, scored by judge(prompt, answer) -> a number.  -> Answered per prompt"""
    if each < 2:
        raise ValueError(f"each must be 2 answers or more, got {each}: one answer has nothing to be preferred to")
    asked = [prompt for prompt in prompts for _ in range(each)]
    said = sft.answers(model, asked, max_new, Sampling(temperature=1.0), generator)
    groups = [said[i : i + each] for i in range(0, len(said), each)]
    return [Answered(p, tuple(group), tuple(judge(p, a) for a in group)) for p, group in zip(prompts, groups)]


def best_worst(scores):
    """The places of the best and the worst of several scores, the first of equals; None if all are alike."""
    if not len(scores) or any(score != score for score in scores):
        raise ValueError(f"every answer needs a score, and one that is a number, got {list(scores)}: leave it out")
    best, worst = scores.index(max(scores)), scores.index(min(scores))
    return None if scores[best] == scores[worst] else (best, worst)


def any_two(scores, pick):
    """The places of two answers drawn at random, the better first; None if they are alike.  pick: a random.Random"""
    two = sorted(pick.sample(range(len(scores)), 2))
    found = best_worst([scores[i] for i in two])
    return found and tuple(two[i] for i in found)


def paired(groups, rule=best_worst):
    """One row {"prompt", "chosen", "rejected", "gap"} for every prompt in which rule(scores) finds two places."""
    rows = []
    for prompt, answers, scores in groups:
        if places := rule(scores):
            better, worse = places
            gap = scores[better] - scores[worse]
            rows.append({"prompt": prompt, "chosen": answers[better], "rejected": answers[worse], "gap": gap})
    return rows
