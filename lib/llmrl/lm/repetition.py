r"""How much a text repeats itself.

$\mathrm{rep}_n = 1-\frac{\text{different n-grams}}{\text{n-grams}}$ is 0 when no run of n tokens comes twice and nears
1 in a loop; $1-\mathrm{rep}_n$ is called distinct-n (Li et al. 2016). Longer texts repeat more, so compare at equal
length. Left out: repeats in other words, which only a reader of meaning finds.
"""


def repeated(ids, n):
    """The share of a text's n-grams that are a repeat of another.  ids: a list of T token ids -> in [0, 1)"""
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= len(ids):
        raise ValueError(
            f"n must be a whole number from 1 to the {len(ids)} tokens of the text, got {n!r}: 4 is common, "
            f"and a shorter text has no run of so many tokens"
        )
    runs = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
    return 1 - len(set(runs)) / len(runs)
