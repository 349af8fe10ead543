"""What is different about an answer, in one sentence.

First the kind of thing, then its shape, its dtype, and the first entry that is off, with both numbers: the order in
which one would debug it. An answer that equals a known wrong answer on the same arguments gets that one's sentence too.
Left out: partial credit.
"""

from llmrl.lesson.attempt import copied
from llmrl.lesson.evidence import short


def differs(got, want, case, tol=1e-5):
    """None when got equals want, else one sentence: the case, and the first difference."""
    problem = difference(got, want, tol)
    return problem and f"{case}, {problem}"


def difference(got, want, tol=1e-5):
    """None when got equals want in type, shape, dtype and every entry (nan equals nan), else the first difference."""
    import numpy as np
    import torch

    if isinstance(want, (np.ndarray, np.generic)):
        return _array_difference(got, want, tol)
    if isinstance(want, torch.Tensor):
        return _tensor_difference(got, want, tol)
    if isinstance(want, dict) and isinstance(got, dict) and got.keys() == want.keys():
        return _first(((f"under {key!r}", got[key], want[key]) for key in want), tol)
    if isinstance(want, (list, tuple)) and isinstance(got, (list, tuple)) and len(got) == len(want):
        return _first(((f"in item {i}", g, w) for i, (g, w) in enumerate(zip(got, want))), tol)
    if isinstance(want, float) and isinstance(got, float):
        return _tensor_difference(torch.tensor(got).double(), torch.tensor(want).double(), tol)
    if type(got) is type(want) and not isinstance(want, (dict, list, tuple)) and got == want:
        return None
    return f"{_kind(want)} was expected, not {_kind(got)}"


def _first(triples, tol):
    found = ((where, difference(got, want, tol)) for where, got, want in triples)
    return next((f"{where}, {problem}" for where, problem in found if problem), None)


def _kind(x):
    """A value in few words, the same on every run."""
    if isinstance(x, dict):
        return f"a dictionary with the keys {', '.join(map(repr, x))}" if x else "an empty dictionary"
    if isinstance(x, (list, tuple)):
        return f"a {type(x).__name__} of length {len(x)}"
    if x is None or isinstance(x, (bool, int)):
        return str(x)
    return short(x, 60) if isinstance(x, (float, str)) else f"something of type {type(x).__name__}"


def _array_difference(got, want, tol):
    """The same for numpy; a plain number will do where the solution gives one, whatever its width."""
    import numpy as np
    import torch

    shape = np.shape(want)
    if not isinstance(got, (np.ndarray, np.generic)) and (shape or not isinstance(got, (bool, int, float))):
        return f"{'an array' if shape else 'a number'} of shape {shape} was expected, not {_kind(got)}"
    got, want = np.asarray(got), np.asarray(want)
    if got.dtype.kind not in "biuf":
        return f"the entries should be numbers and are {got.dtype}"
    if (got.dtype.kind == "b") != (want.dtype.kind == "b") or (want.dtype.kind in "iu" and got.dtype.kind == "f"):
        return f"the dtype should be {want.dtype} and is {got.dtype}"
    width = {"b": bool, "f": float}.get(want.dtype.kind, np.int64)
    return _tensor_difference(torch.from_numpy(got.astype(width)), torch.from_numpy(want.astype(width)), tol)


def _tensor_difference(got, want, tol):
    import torch

    shape = tuple(want.shape)
    if not isinstance(got, torch.Tensor):
        return f"a tensor of shape {shape} was expected, not {_kind(got)}"
    if tuple(got.shape) != shape:
        return f"the shape should be {shape} and is {tuple(got.shape)}"
    if got.dtype != want.dtype:
        return f"the dtype should be {want.dtype} and is {got.dtype}"
    wrong = ~torch.isclose(got.detach().double(), want.detach().double(), rtol=tol, atol=tol, equal_nan=True)
    if not wrong.any():
        return None
    place = tuple(wrong.nonzero()[0].tolist())
    where = f"entry {list(place)}" if place else "the result"
    values = [f"{t[place].item():.4g}" if t.dtype.is_floating_point else str(t[place].item()) for t in (want, got)]
    return f"{where} should be {values[0]} and is {values[1]}"


def recognised(answer, wrong):
    """The sentence of the first known wrong answer that gives, on the same arguments, what the learner's gave."""
    if answer.last is None:
        return None
    args, kwargs, got = answer.last
    for known in wrong:
        try:
            given = known.answer(*copied(args), **copied(kwargs))
        except Exception:  # this wrong answer cannot handle the case, so it is not the learner's
            continue
        if difference(got, given) is None:
            return known.says
    return None
