r"""More than one answer: keep the best, or ask for a majority.

Best-of-N needs a score and is as good as the score; a majority vote needs none and is as good as the most frequent
answer. A tree search looks at unfinished answers: llmrl.reasoning.mcts. Left out here: trees of other kinds.
"""

from collections import Counter

from llmrl.reasoning.mcts import mcts  # noqa: F401  one of the three ways to search


def best_of_n(answers, scores):
    """The answer with the highest score, the first of them when several share it."""
    if not answers or len(answers) != len(scores):
        raise ValueError(
            f"one score per answer and at least one answer, got {len(answers)} answers and {len(scores)} scores: "
            f"score every answer"
        )
    if any(score != score for score in scores):
        raise ValueError("a score is nan, neither better nor worse than another: score that answer anew or drop it")
    return answers[max(range(len(answers)), key=lambda i: scores[i])]


def majority_vote(answers):
    """The most frequent answer that is not None, the earliest among equals; None when nobody answered."""
    votes = Counter(answer for answer in answers if answer is not None)
    return max(votes, key=votes.get, default=None)
