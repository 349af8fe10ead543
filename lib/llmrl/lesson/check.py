"""Claims that a cell proves.

A lesson's sentence becomes a call: the claim in words, then the numbers it is about. When it holds, one line says so,
without anything that varies from run to run; when it does not, CheckFailed carries the claim, the rule and the numbers.
nan is never equal to, near, above or below anything; shapes have to agree (a plain number may stand on the right for
every entry); and a comparison of nothing fails, because it would prove nothing. Left out: warnings.

    check.close("the weights sum to one", weights.sum(-1), 1.0)
    with check.shown_failing():
        check.greater("three is more than four", 3, 4)
"""

import contextlib

from llmrl.lesson.evidence import array, entry, first_difference, short, violation

_showing = []  # one entry per shown_failing() block we are inside


class CheckFailed(AssertionError):
    """A claim that turned out untrue. In a notebook it is shown as its own few lines, without a traceback."""

    def _render_traceback_(self):
        return str(self).splitlines()


def _claimed(claim):
    if not isinstance(claim, str) or not claim.strip():
        raise TypeError(f"a check starts with its claim in words, got {short(claim)}: check.same('equal ids', a, b)")


def _verdict(claim, problem, rule):
    """Print the claim when there is no problem, raise with the rule and the numbers when there is one."""
    if problem:
        raise CheckFailed(f"✗ {claim}\n  rule: {rule}\n  seen: {problem}")
    if not _showing:
        print(f"✓ {claim}")


def that(claim, condition, seen=None):
    """The condition is true.  `seen` is shown when it is not: the numbers behind it."""
    _claimed(claim)
    value = condition.item() if getattr(condition, "shape", None) == () else condition
    if not isinstance(value, bool):
        raise TypeError(f"check.that needs one True or False, got {short(condition)}: reduce it, with .all() or bool()")
    shown = "the condition is False" if seen is None else seen if isinstance(seen, str) else short(seen)
    _verdict(claim, None if value else shown, "the condition is true")


def same(claim, a, b):
    """a and b are equal, entry by entry: numbers, tensors, texts, lists of lists, dictionaries."""
    _claimed(claim)
    _verdict(claim, first_difference(a, b), "both are equal in every entry")


def close(claim, a, b, tol=1e-5, rel=0.0):
    """Every entry obeys |a - b| <= tol + rel |b|.  Equal infinities count as close."""
    _claimed(claim)
    allowed = f"|a - b| <= {tol:g}" + (f" + {rel:g} |b|" if rel else "")

    def near(x, y):
        import numpy as np

        with np.errstate(invalid="ignore"):  # inf - inf is nan, and nan is far
            return (x == y) | (np.abs(x - y) <= tol + rel * np.abs(y))

    _verdict(claim, violation(a, b, near), f"{allowed} for every entry")


def greater(claim, a, b, margin=0.0):
    """Every entry of a is above b, by more than `margin`."""
    _claimed(claim)
    rule = "a > b" + (f" + {margin:g}" if margin else "")
    _verdict(claim, violation(a, b, lambda x, y: x > y + margin), f"{rule} for every entry")


def less(claim, a, b, margin=0.0):
    """Every entry of a is below b, by more than `margin`."""
    _claimed(claim)
    rule = "a < b" + (f" - {margin:g}" if margin else "")
    _verdict(claim, violation(a, b, lambda x, y: x < y - margin), f"{rule} for every entry")


def between(claim, a, low, high):
    """Every entry obeys low <= a <= high."""
    _claimed(claim)
    problem = violation(a, low, lambda x, y: x >= y) or violation(a, high, lambda x, y: x <= y)
    _verdict(claim, problem, f"{short(low)} <= a <= {short(high)} for every entry")


def increasing(claim, values, slack=0.0):
    """Every value is above the one before it (or, with slack, at most that far below it)."""
    _claimed(claim)
    _verdict(claim, _broken_step(values, 1, slack), _steps("above", "below", slack))


def decreasing(claim, values, slack=0.0):
    """Every value is below the one before it (or, with slack, at most that far above it)."""
    _claimed(claim)
    _verdict(claim, _broken_step(values, -1, slack), _steps("below", "above", slack))


def _steps(good, bad, slack):
    how = f"no value is more than {slack:g} {bad}" if slack else f"every value is {good}"
    return f"{how} the one before it"


def _broken_step(values, sign, slack):
    x = array(values)
    if x is None or x.ndim != 1 or len(x) < 2:
        return f"{short(values)}, where a list of two or more numbers was expected: there are no steps to look at"
    step = sign * (x[1:] - x[:-1])
    good = step >= -slack if slack else step > 0
    return None if good.all() else f"value {(~good).argmax() + 1} after value {(~good).argmax()} in {short(values)}"


def shape(claim, x, expected):
    """x has the expected shape: a tuple, or another array to be shaped like."""
    _claimed(claim)
    found = x.shape if hasattr(x, "shape") else getattr(array(x), "shape", None)
    found, wanted = found and tuple(found), tuple(getattr(expected, "shape", expected))
    _verdict(claim, None if found == wanted else f"{found}, where {wanted} was expected", f"the shape is {wanted}")


def raises(claim, error, call, says=""):
    """call() raises an `error` whose message holds the words `says`."""
    _claimed(claim)
    rule = f"the call raises {error.__name__}" + (f" saying {says!r}" if says else "")
    try:
        result = call()
    except error as caught:
        problem = None if says.lower() in str(caught).lower() else f"{type(caught).__name__}: {caught}"
    except Exception as other:
        problem = f"{type(other).__name__}: {other}"
    else:
        problem = f"no error; the call returned {short(result)}"
    _verdict(claim, problem, rule)


def significant(claim, differences, errors=2.0):
    """The mean of the differences lies more than `errors` standard errors above zero: an effect, not luck."""
    _claimed(claim)
    rule = f"mean > {errors:g} standard errors"
    x = array(differences)
    if x is None or x.ndim != 1 or len(x) < 3:
        return _verdict(claim, f"{short(differences)}, where three or more differences were expected", rule)
    mean, error = x.mean(), x.std(ddof=1) / len(x) ** 0.5
    seen = f"mean {entry(mean)}, standard error {entry(error)}, {len(x)} differences"
    _verdict(claim, None if mean > errors * error else seen, rule)


@contextlib.contextmanager
def shown_failing():
    """Show what a failing check says without stopping the lesson.  A block in which every check holds fails itself."""
    _showing.append(True)
    try:
        yield
    except CheckFailed as failed:
        print(failed)
        return
    finally:
        _showing.pop()
    raise CheckFailed(
        "✗ a check shown failing has to fail\n  rule: at least one check inside the block is untrue\n"
        "  seen: all of them hold, so the block shows nothing"
    )
