"""Exercises on text, tokens and the first layer.

Each checker probes the case somebody gets wrong: overlapping pairs, ties, words seen many times, the order of merges,
tokens that stand twice, a number whose length is no multiple of three. Left out: pieces, which are one expression.
"""

from itertools import pairwise

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.lm import embedding, tokenizer


def _merge_overlapping(symbols, pair, new):
    """Every pair of neighbours is looked at, also one whose first half was just used up."""
    merged, ends = [], False
    for left, right in pairwise(symbols):
        hit = (left, right) == tuple(pair)
        merged += [new] if hit else [] if ends else [left]
        ends = hit
    return merged + ([] if ends else list(symbols[-1:]))


def _merge_first(symbols, pair, new):
    for i, found in enumerate(pairwise(symbols)):
        if found == tuple(pair):
            return [*symbols[:i], new, *symbols[i + 2 :]]
    return list(symbols)


def _merge_until_none_is_left(symbols, pair, new):
    left, right = pair
    merged = []
    for symbol in symbols:
        merged.append(symbol)
        while len(merged) > 1 and (merged[-2], merged[-1]) in ((left, right), (right, left)):
            merged[-2:] = [new]
    return merged


@exercise(
    "lm.merge",
    title="Merge one pair",
    signature="merge(symbols: list, pair: (left, right), new) -> list",
    solution="llmrl.lm.tokenizer.merge",
    minutes=8,
    difficulty=1,
    hints=(
        "Go from left to right. Where left and right stand side by side, write new and go on after both.",
        "Build a second list. If its last entry is left and the next symbol is right, overwrite that entry with new.",
    ),
    wrong=(
        Wrong("a symbol was used twice: in a a a the middle one belongs to the first pair alone", _merge_overlapping),
        Wrong("only the first pair was merged; go on to the end of the list", _merge_first),
        Wrong("the pair has an order: left before right, not right before left", _merge_until_none_is_left),
        Wrong(
            "from right to left a a a would become a aa; the rule is from left to right",
            lambda symbols, pair, new: tokenizer.merge(symbols[::-1], pair[::-1], new)[::-1],
        ),
        Wrong(
            "both symbols are gone and nothing stands in their place; write new there",
            lambda symbols, pair, new: [symbol for symbol in tokenizer.merge(symbols, pair, new) if symbol != new],
        ),
        Wrong(
            "new was added, but the two symbols it is made of are still there",
            lambda symbols, pair, new: [
                part
                for symbol in tokenizer.merge(symbols, pair, new)
                for part in ([*pair, new] if symbol == new else [symbol])
            ],
        ),
    ),
)
def merge(answer, solution):
    for symbols, pair in {"abcab": "ab", "aaab": "aa", "xbaby": "ab", "cc": "ab", "a": "ab", "abaab": "ba"}.items():
        case = f"on {' '.join(symbols)} with the pair {pair[0]} {pair[1]}"
        yield differs(answer(list(symbols), tuple(pair), pair), solution(list(symbols), tuple(pair), pair), case)
    ids = [104, 101, 108, 108, 111]
    yield differs(answer(ids, (108, 108), 260), solution(ids, (108, 108), 260), "on five ids with the pair 108 108")


def _step_by(choose, counts=tokenizer.pair_counts):
    def step(words, times, new):
        found = counts(words, times)
        pair = choose(found)
        return pair, [tokenizer.merge(word, pair, new) for word in words]

    return step


def _counts_of_the_joined_text(words, times):
    """The words written one after the other, each as often as it is seen: pairs reach from one word into the next."""
    text = [symbol for word, n in zip(words, times) for _ in range(n) for symbol in word]
    return tokenizer.pair_counts([text], [1])


@exercise(
    "lm.merge_step",
    title="One step of BPE training",
    signature="merge_step(words: list of lists, times: list of int, new) -> pair, words after the merge",
    solution="llmrl.lm.tokenizer.merge_step",
    minutes=15,
    difficulty=2,
    hints=(
        "Count every pair of neighbours in every word, each time adding how often the word is seen.",
        "Of pairs counted equally often the smaller one is taken: min(counts, key=lambda p: (-counts[p], p)). "
        "merge(word, pair, new) from the exercise before, or from llmrl.lm.tokenizer, does the rest.",
    ),
    wrong=(
        Wrong(
            "pairs were counted across the end of a word; a pair lies inside one word",
            _step_by(tokenizer.most_frequent, _counts_of_the_joined_text),
        ),
        Wrong(
            "every word was counted once; a word that is seen ten times counts ten times",
            _step_by(tokenizer.most_frequent, lambda words, times: tokenizer.pair_counts(words, [1] * len(words))),
        ),
        Wrong(
            "of pairs counted equally often the larger was taken; the smaller one goes first",
            _step_by(lambda counts: max(counts, key=lambda pair: (counts[pair], pair))),
        ),
        Wrong(
            "of pairs counted equally often the first one met was taken; the smaller one goes first",
            _step_by(lambda counts: max(counts, key=counts.get)),
        ),
        Wrong("the rarest pair was merged", _step_by(lambda counts: min(counts, key=lambda p: (counts[p], p)))),
        Wrong(
            "the pair is right, but the words are as they were; merge it in each of them",
            lambda words, times, new: (tokenizer.merge_step(words, times, new)[0], words),
        ),
    ),
)
def merge_step(answer, solution):
    hug = [list("hug"), list("pug"), list("pun"), list("hugs")], [10, 5, 12, 5]
    yield differs(answer(*hug, "ug"), solution(*hug, "ug"), "on hug 10 times, pug 5, pun 12 and hugs 5")
    rare = [list("ab"), list("cab"), list("xy")], [1, 1, 9]
    yield differs(answer(*rare, "xy"), solution(*rare, "xy"), "on ab once, cab once and xy 9 times")
    tie = [list("bc"), list("ca"), list("ab")], [4, 4, 4]
    yield differs(answer(*tie, "ab"), solution(*tie, "ab"), "on bc, ca and ab, 4 times each")
    border = [list("aa"), list("bc")], [4, 5]
    yield differs(answer(*border, "bc"), solution(*border, "bc"), "on aa 4 times and bc 5 times")


def _left_to_right(ids, new_id):
    """Merge whatever fits at the left-most place, again and again."""
    ids = list(ids)
    while (at := next((i for i, pair in enumerate(pairwise(ids)) if pair in new_id), None)) is not None:
        ids[at : at + 2] = [new_id[ids[at], ids[at + 1]]]
    return ids


def _last_learned_first(ids, new_id):
    ids = list(ids)
    while fitting := [pair for pair in pairwise(ids) if pair in new_id]:
        pair = max(fitting, key=new_id.get)
        ids = tokenizer.merge(ids, pair, new_id[pair])
    return ids


def _longest_first(ids, new_id):
    """The longest token that fits, from the left."""
    spelled = {(i,): i for i in ids}
    made = {i: (i,) for i in ids}
    for (left, right), new in new_id.items():
        made[new] = made.get(left, (left,)) + made.get(right, (right,))
        spelled[made[new]] = new
    found = []
    while ids:
        end = next(end for end in range(len(ids), 0, -1) if tuple(ids[:end]) in spelled)
        found, ids = [*found, spelled[tuple(ids[:end])]], ids[end:]
    return found


def _one_merge_only(ids, new_id):
    pair = min(pairwise(ids), key=lambda pair: new_id.get(pair, 10**9), default=None)
    return tokenizer.merge(ids, pair, new_id[pair]) if pair in new_id else list(ids)


@exercise(
    "lm.replay",
    title="Encode a word: replay the merges",
    signature="replay(ids: list of int, new_id: {(left, right): id}) -> list of int; a smaller id was learned earlier",
    solution="llmrl.lm.tokenizer.replay",
    minutes=15,
    difficulty=2,
    hints=(
        "In each round look at all pairs of neighbours that are in new_id and take the one with the smallest new id.",
        "merge(ids, pair, new_id[pair]) makes it one; stop when no pair of neighbours is in new_id.",
    ),
    wrong=(
        Wrong("merges were made from left to right; the one learned first comes first, wherever it is", _left_to_right),
        Wrong("the merge learned last came first; the order is that of learning", _last_learned_first),
        Wrong(
            "the longest token that fits was taken; that is another rule, and training did not follow it",
            _longest_first,
        ),
        Wrong("one round is not enough; what a merge makes may be half of another pair", _one_merge_only),
        Wrong("nothing was merged; a pair that is in new_id becomes one id", lambda ids, new_id: list(ids)),
    ),
)
def replay(answer, solution):
    order = {(1, 2): 10, (2, 3): 11, (1, 11): 12, (2, 1): 13}
    for ids in ([2, 3, 1, 2, 1], [1, 2, 1, 2, 3], [3, 2, 1, 2], [1, 2, 3], [2, 3], [1, 2, 2, 3], [4], []):
        case = f"on {ids} with (1, 2) -> 10, (2, 3) -> 11, (1, 11) -> 12, (2, 1) -> 13"
        yield differs(answer(ids, order), solution(ids, order), case)


def _gradient_assigned(ids, upstream, vocab):
    grad = torch.zeros(vocab, upstream.shape[-1])
    for i, row in zip(ids.flatten(), upstream.flatten(0, -2)):
        grad[i] = row
    return grad


def _gradient_averaged(ids, upstream, vocab):
    times = embedding.one_hot(ids, vocab).flatten(0, -2).sum(0)
    return embedding.table_gradient(ids, upstream, vocab) / times.clamp(min=1)[:, None]


@exercise(
    "lm.table_gradient",
    title="What the embedding learns",
    signature="table_gradient(ids: (B, T), upstream: (B, T, D), vocab) -> (V, D)",
    solution="llmrl.lm.embedding.table_gradient",
    minutes=12,
    difficulty=3,
    hints=(
        "Looking up is onehot @ table, and the gradient of a product A @ E with respect to E is A.T @ upstream.",
        "Without one-hot rows: start from zeros and add each row of upstream at its id. grad[ids] += upstream adds "
        "only once where an id stands twice; grad.index_add_(0, ids, rows) adds every time.",
    ),
    wrong=(
        Wrong(
            "a token that stands twice was counted once; its row collects the gradients of both places",
            _gradient_assigned,
        ),
        Wrong("the gradients of a token's places are added, not averaged", _gradient_averaged),
        Wrong(
            "these are the rows of upstream at those ids; each row of upstream has to be added at its own id",
            lambda ids, up, vocab: torch.zeros(vocab, up.shape[-1]).index_add_(0, ids.flatten() * 0, up.flatten(0, -2)),
        ),
        Wrong(
            "only the first text was used; every text of the batch teaches the same table",
            lambda ids, up, vocab: embedding.table_gradient(ids[:1], up[:1], vocab),
        ),
        Wrong(
            "that counts how often each token stands; what it collects are the rows of upstream",
            lambda ids, up, vocab: embedding.table_gradient(ids, torch.ones_like(up), vocab),
        ),
    ),
)
def table_gradient(answer, solution):
    once = torch.tensor([[1, 3]]), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 4
    yield differs(answer(*once), solution(*once), "on the ids 1 and 3")
    twice = torch.tensor([[2, 0, 2]]), torch.tensor([[[1.0], [10.0], [100.0]]]), 4
    yield differs(answer(*twice), solution(*twice), "on the ids 2, 0, 2")
    batch = torch.tensor([[0, 1], [1, 1]]), torch.arange(8.0).reshape(2, 2, 2), 3
    yield differs(answer(*batch), solution(*batch), "on two texts of two tokens")


@exercise(
    "lm.threes",
    title="Groups of three digits, from the right",
    signature="threes(digits: str) -> list of str",
    solution="llmrl.lm.digits.threes",
    minutes=6,
    difficulty=1,
    hints=(
        "The first group is the one that may be short: it has len(digits) % 3 digits, or none at all.",
        "digits[i : i + 3] for i in range(first, len(digits), 3) gives the full groups after it.",
    ),
    wrong=(
        Wrong(
            "these groups start from the left; then the last one may be short, and no place value is fixed",
            lambda digits: [digits[i : i + 3] for i in range(0, len(digits), 3)],
        ),
        Wrong(
            "the groups are right but in the wrong order: the highest comes first",
            lambda digits: [digits[max(0, i - 3) : i] for i in range(len(digits), 0, -3)],
        ),
        Wrong(
            "an empty group stands in front where the length is a multiple of three",
            lambda digits: [
                digits[: len(digits) % 3],
                *[digits[i : i + 3] for i in range(len(digits) % 3, len(digits), 3)],
            ],
        ),
        Wrong(
            "as whole numbers the groups lose their leading zeros: 1002 is 1 and 002",
            lambda digits: [str(int(group)) for group in f"{int(digits):,}".split(",")],
        ),
        Wrong("the digits were kept apart; three of them make a group", list),
        Wrong(
            "the text was written with commas; a list of groups is wanted",
            lambda digits: f"{int(digits):,}",
        ),
    ),
)
def threes(answer, solution):
    for digits in ("1234567", "123456", "12", "1002", "7", "90071992547409"):
        yield differs(answer(digits), solution(digits), f"on {digits}")
