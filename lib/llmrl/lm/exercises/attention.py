"""Exercises on attention: who may look, what comes of it, what it costs to remember, how far a window sees.

Each checker probes the case somebody gets wrong: a past before the first row, shared heads, values wider than keys, an
anchor that looks as well as being seen. Left out: positions, which have exercises of their own.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.lm.attention import attend as solved_attend
from llmrl.lm.attention import attention_weights
from llmrl.lm.attention import causal_mask as solved_mask
from llmrl.lm.window import window_mask as solved_window


def _ones(T, past):
    return torch.ones(T, past + T, dtype=torch.bool)


@exercise(
    "lm.causal_mask",
    title="Who may see whom",
    signature="causal_mask(T, past=0) -> bool (T, past + T), True where row t may look at column s",
    solution="llmrl.lm.attention.causal_mask",
    minutes=6,
    difficulty=1,
    hints=(
        "Row t is the position past + t of the text. It may look at every column up to that number.",
        "x.tril(d) keeps the columns up to row + d. Without a past, d is 0; with one, the diagonal moves to the right.",
    ),
    wrong=(
        Wrong("every row sees everything, the future too", _ones),
        Wrong(
            "this is the mask of what must not be seen; True means that it may", lambda T, past=0: ~solved_mask(T, past)
        ),
        Wrong("a position has to see itself, too", lambda T, past=0: _ones(T, past).tril(past - 1)),
        Wrong(
            "row 0 is not the start of the text: `past` positions came before it, and it sees them all",
            lambda T, past=0: _ones(T, past).tril(),
        ),
        Wrong("each row sees what comes after it; turn it round", lambda T, past=0: _ones(T, past).triu(past)),
        Wrong(
            "the old positions ask nothing any more; only the T new ones have a row",
            lambda T, past=0: solved_mask(past + T),
        ),
        Wrong("the columns are the old positions and the new ones, past + T of them", lambda T, past=0: solved_mask(T)),
        Wrong(
            "these are numbers; bool is wanted, True where a look is allowed",
            lambda T, past=0: solved_mask(T, past).float(),
        ),
    ),
)
def causal_mask(answer, solution):
    yield differs(answer(4, 0), solution(4, 0), "for four positions")
    yield differs(answer(2, 3), solution(2, 3), "for two new positions after three old ones")
    yield differs(answer(1, 2), solution(1, 2), "for one new position after two old ones")


def _with(weights):
    """attend with another way from scores (B, H, T, S), which are right, to weights."""

    def answer(q, k, v, visible):
        share = q.shape[1] // k.shape[1]
        scores = q @ k.repeat_interleave(share, 1).mT * q.shape[-1] ** -0.5
        return weights(scores, visible) @ v.repeat_interleave(share, 1)

    return answer


def _hidden(scores, visible):
    return scores.masked_fill(~visible, float("-inf"))


def _tiled(q, k, v, visible):
    share = q.shape[1] // k.shape[1]
    return solved_attend(q, k.repeat(1, share, 1, 1), v.repeat(1, share, 1, 1), visible)


@exercise(
    "lm.attend",
    title="Attention whose heads share keys and values",
    signature="attend(q: (B, H, T, E), k: (B, K, S, E), v: (B, K, S, F), visible: bool (T, S)) -> (B, H, T, F)",
    solution="llmrl.lm.attention.attend",
    minutes=15,
    difficulty=2,
    hints=(
        "k.repeat_interleave(H // K, dim=1) gives every query head its key head: heads 0, 1, .. share key head 0.",
        "Scores q @ k.mT / sqrt(E); -inf where visible is False; softmax over the last dimension; times v.",
    ),
    wrong=(
        Wrong(
            "divide the scores by the root of E before softmax, or long vectors make it a hard choice",
            lambda q, k, v, visible: solved_attend(q, k, v, visible, 1.0),
        ),
        Wrong(
            "divide by the root of E, not by E itself",
            lambda q, k, v, visible: solved_attend(q, k, v, visible, 1 / q.shape[-1]),
        ),
        Wrong(
            "divide by the root of the width of a query, which the values need not share",
            lambda q, k, v, visible: solved_attend(q, k, v, visible, v.shape[-1] ** -0.5),
        ),
        Wrong(
            "the mask was not used; what is not visible gets no weight", lambda q, k, v, visible: solved_attend(q, k, v)
        ),
        Wrong(
            "the mask was turned round: True means that it may be seen",
            _with(lambda scores, visible: scores.masked_fill(visible, float("-inf")).softmax(-1)),
        ),
        Wrong(
            "a score of 0 is not hidden, softmax gives it e^0; hide with minus infinity, before softmax",
            _with(lambda scores, visible: scores.masked_fill(~visible, 0.0).softmax(-1)),
        ),
        Wrong(
            "hidden after softmax, the weights left over no longer sum to one; hide before",
            _with(lambda scores, visible: scores.softmax(-1) * visible),
        ),
        Wrong(
            "softmax ran over those who look; each of them spreads one whole over what it looks at",
            _with(lambda scores, visible: _hidden(scores, visible).softmax(-2).nan_to_num()),
        ),
        Wrong(
            "these are raw scores times values; softmax makes weights of the scores",
            _with(lambda scores, visible: scores.masked_fill(~visible, 0.0)),
        ),
        Wrong("neighbouring query heads share: 0 and 1 take key head 0; use repeat_interleave, not repeat", _tiled),
        Wrong(
            "these are the weights; mix the values with them",
            lambda q, k, v, visible: attention_weights(q, k, visible),
        ),
    ),
)
def attend(answer, solution):
    q = torch.tensor([[[[1.0, 1.0, 2.0, 0.0], [0.0, 3.0, 0.0, 1.0]]]])  # (1, 1, 2, 4)
    v = torch.tensor([[[[1.0, 0.0, 5.0], [0.0, 1.0, -5.0]]]])  # (1, 1, 2, 3)
    causal = torch.ones(2, 2, dtype=torch.bool).tril()
    yield differs(answer(q, q, v, causal), solution(q, q, v, causal), "on one head and two positions")
    n = torch.arange(48.0).reshape(1, 4, 3, 4).sin()  # (1, 4, 3, 4)
    k, v = 2 * n[:, ::2].cos(), n[:, 1::2, :, :2]  # (1, 2, 3, 4) and (1, 2, 3, 2)
    ragged = torch.tensor([[True, False, False], [False, True, False], [True, False, True]])
    yield differs(answer(n, k, v, ragged), solution(n, k, v, ragged), "on four query heads and two key-value heads")


def _band(T, window, more=0):
    causal = solved_mask(T)
    return causal & ~causal.tril(-window - more)


def _seen_only(T, window, anchors=()):
    return _band(T, window).index_fill(1, torch.tensor(list(anchors), dtype=torch.long), True) & solved_mask(T)


def _looking_only(T, window, anchors=()):
    return _band(T, window).index_fill(0, torch.tensor(list(anchors), dtype=torch.long), True) & solved_mask(T)


def _both_ways(T, window, anchors=()):
    return solved_window(T, window, anchors) | solved_window(T, window, anchors).T


def _into_the_future(T, window, anchors=()):
    places = torch.tensor(list(anchors), dtype=torch.long)
    return _band(T, window).index_fill(0, places, True).index_fill(1, places, True)


@exercise(
    "lm.window_mask",
    title="A sliding window with anchors",
    signature="window_mask(T, window, anchors=()) -> bool (T, T), True where row t may look at column s",
    solution="llmrl.lm.window.window_mask",
    minutes=12,
    difficulty=2,
    hints=(
        "With t = torch.arange(T)[:, None] and s = torch.arange(T), the window is (s <= t) & (t - s < window).",
        "An anchor sees all before it (its row of the causal mask), and all after it see the anchor (its column).",
    ),
    wrong=(
        Wrong("the window counts the position itself: it sees window - 1 others", lambda T, w, a=(): _wider(T, w, a)),
        Wrong("a look ahead is never allowed, not even inside the window", _both_ways),
        Wrong("anchors obey the causal mask as well: nobody looks ahead, at them or from them", _into_the_future),
        Wrong("the anchors are missing", lambda T, w, a=(): _band(T, w)),
        Wrong("an anchor is not only seen by all after it, it also sees all before it", _seen_only),
        Wrong("an anchor does not only see all before it, it is also seen by all after it", _looking_only),
        Wrong("far positions are kept and near ones dropped", lambda T, w, a=(): solved_mask(T).tril(-w)),
        Wrong("there is no window here, only the causal mask", lambda T, w, a=(): solved_mask(T)),
    ),
)
def window_mask(answer, solution):
    for case in ((5, 2), (6, 3), (4, 1), (7, 2, (0, 4))):
        said = f"for {case[0]} positions and a window of {case[1]}" + (" with anchors 0 and 4" if len(case) > 2 else "")
        yield differs(answer(*case), solution(*case), said)


def _wider(T, window, anchors):
    return solved_window(T, window + 1, anchors)
