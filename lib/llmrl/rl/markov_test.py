r"""Is the past done with? A test of the Markov property on data.

The property says: given the present state, the next one does not depend on those before. So take one triple (before,
now, after) from each of many independent episodes. The statistic G compares how well `after` is predicted by the
present alone and by both; more columns always predict a little better, so the question is how large G gets by luck.
Among triples with the same present, a Markov process makes `before` and `after` independent: shuffling `after` within
these groups gives data that are just as likely, and the rank of G among the shuffled ones is an exact p-value.
Left out: the chi-squared distribution, which G follows when counts are large, and only then; triples that share steps,
whose counts are not independent; more than one step of the past (pass it as one number); continuous states.

Shapes: N triples.
"""

import numpy as np


def whole_numbers(*given):
    """Whole numbers from 0 up, all (N,), or an error that names the rule."""
    given = [np.asarray(column) for column in given]
    for column in given:
        if column.ndim != 1 or column.shape != given[0].shape or not column.size:
            raise ValueError(f"states must be (N,) arrays of one length, 1 or more, got {[c.shape for c in given]}")
        if not np.issubdtype(column.dtype, np.integer) or column.min() < 0:
            raise ValueError(f"states must be whole numbers of 0 or more, got {column.dtype} from {column.min()}")
    return given


def tally(*given):
    """Beside each row, how often its combination of states occurs.  columns (N,) -> (N,)"""
    given = whole_numbers(*given)
    code = np.ravel_multi_index(given, [column.max() + 1 for column in given])
    return np.bincount(code)[code]


def g_statistic(before, now, after):
    r"""$G=2\sum_i\log\frac{n(x_i,y_i,z_i)\,n(y_i)}{n(x_i,y_i)\,n(y_i,z_i)}$: what x, before, adds to y, now.  (N,)"""
    seen = tally(before, now, after) / tally(before, now)  # how often this is what followed
    expected = tally(now, after) / tally(now)  # if the state before did not matter
    return 2 * np.log(seen / expected).sum()


def shuffled_statistics(before, now, after, random, shuffles):
    """G of data in which `after` changed places among triples with the same present.  -> (shuffles,)"""
    before, now, after = whole_numbers(before, now, after)
    sizes = [shuffles, *(column.max() + 1 for column in (before, now, after))]
    order = np.argsort(now + random.random((shuffles, len(now))), 1)  # by present, at random within
    grouped = np.argsort(now, kind="stable")
    row = np.repeat(np.arange(shuffles)[:, None], len(now), 1)
    code = np.ravel_multi_index((row, *np.broadcast_arrays(before[grouped], now[grouped]), after[order]), sizes)
    whole = np.bincount(code.ravel(), minlength=np.prod(sizes))[code]  # (shuffles, N): the only count that moves
    rest = np.log(tally(now)) - np.log(tally(before, now)) - np.log(tally(now, after))
    return 2 * (np.log(whole).sum(1) + rest.sum())


def past_matters(before, now, after, random, shuffles=199):
    """G, and its exact p-value: the chance of so large a G if the past did not matter.  columns (N,)"""
    if shuffles < 19:
        raise ValueError(f"shuffles must be 19 or more, got {shuffles}: the smallest p-value is 1 / (shuffles + 1)")
    g = g_statistic(before, now, after)
    by_luck = shuffled_statistics(before, now, after, random, shuffles)
    return float(g), float((1 + (by_luck >= g - 1e-9).sum()) / (shuffles + 1))
