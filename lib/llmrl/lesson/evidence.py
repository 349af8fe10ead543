"""What two things have in common, in words.

Checks and exercise checkers both need one honest sentence about where two values part: different shapes, a nan, nothing
to compare, or the first entry that breaks the rule, with its place and both numbers. Left out: diffs of long texts.
"""

import numbers


def array(x):
    """x as a numpy array of float64 or int64, or None when it is not numbers of one shape."""
    import numpy as np

    if isinstance(x, (str, bytes, dict, set)) or x is None:
        return None
    if isinstance(x, (list, tuple)) and any(isinstance(value, (str, bytes)) for value in x):
        return None  # numpy would give every text the room of the longest
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.double() if x.is_floating_point() else x
    elif isinstance(x, (list, tuple)) and any(hasattr(value, "detach") for value in x):
        x = [array(value) for value in x]
    try:
        found = np.asarray(x)
    except (ValueError, TypeError):  # ragged
        return None
    kind = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.int64}.get(found.dtype.kind)
    return None if kind is None else found.astype(kind)


def short(x, limit=120):
    """One line about a value: small ones whole, large ones by their shape."""
    numeric = array(x)
    if numeric is None:
        text = " ".join(repr(x).split())
    elif numeric.ndim == 0:
        text = entry(numeric)
    elif numeric.size <= 12:
        text = "[" + ", ".join(map(short, numeric)) + "]"
    else:
        text = f"{numeric.size:,} numbers of shape {numeric.shape}"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def entry(value):
    """One number with up to six significant digits."""
    value = value.item() if hasattr(value, "item") else value
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _number(x):
    return isinstance(x, numbers.Number)


def violation(a, b, rule):
    """None when rule(a, b) holds everywhere, else what broke it.  b may be a plain number; nan breaks every rule."""
    x, y = array(a), array(b)
    if x is None or y is None:
        return f"{short(a if x is None else b)}, where numbers were expected"
    if x.size == 0 or y.size == 0:
        return f"nothing to compare: the shapes are {x.shape} and {y.shape}"
    if x.shape != y.shape and not _number(b):
        return f"the shapes differ: {x.shape} and {y.shape}"
    good = rule(x, y) & (x == x) & (y == y)
    if good.all():
        return None
    place = tuple(int(i[0]) for i in (~good).nonzero()) if good.ndim else ()
    pair = f"{entry(x[place])} and {entry(y[place] if y.shape else y)}"
    if not place:
        return pair
    where = place[0] if len(place) == 1 else place
    return f"{int((~good).sum()):,} of {good.size:,} entries break it, the first at [{_index(where)}]: {pair}"


def _index(place):
    return ", ".join(map(str, place)) if isinstance(place, tuple) else str(place)


def first_difference(a, b):
    """None when a and b are equal in every entry, else one sentence about the first place where they are not."""
    if array(a) is not None and array(b) is not None:
        return violation(a, b, lambda x, y: x == y)
    if _empty(a) and _empty(b):
        return f"nothing to compare: both are {short(a)}"
    return _nested(a, b, "")


def _empty(x):
    return isinstance(x, (str, bytes, list, tuple, dict, set)) and len(x) == 0


def _nested(a, b, place):
    """The first difference of nested values; place is the index that leads here."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return f"the keys differ{_at(place)}: {short(list(a))} and {short(list(b))}"
        pairs = [(a[key], b[key], key) for key in a]
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return f"the lengths differ{_at(place)}: {len(a)} and {len(b)}"
        pairs = [(x, y, i) for i, (x, y) in enumerate(zip(a, b))]
    else:
        return _leaves(a, b, place)
    return next((found for x, y, key in pairs if (found := _nested(x, y, f"{place}[{key!r}]"))), None)


def _leaves(a, b, place):
    if array(a) is not None and array(b) is not None:
        found = None if _hollow(a, b) else violation(a, b, lambda x, y: x == y)
        return found and f"{found}{_at(place)}"
    if isinstance(a, str) and isinstance(b, str) and a != b:
        start = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        rest, other = (text[start : start + 30] for text in (a, b))
        return f"the texts part at character {start}{_at(place)}: {rest!r} and {other!r}"
    return None if a == b else f"{short(a)} and {short(b)}{_at(place)}"


def _hollow(a, b):
    """Both are empty arrays of one shape, inside something that is not empty as a whole."""
    x, y = array(a), array(b)
    return x.size == 0 and x.shape == y.shape


def _at(place):
    return f" at {place}" if place else ""
