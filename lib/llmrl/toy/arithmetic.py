"""Sums, with or without the steps written out.

Written addition goes from the units up: `47+85` is `7+5=12, 4+8+1=13, so 132`. Each step adds two digits and the carry,
which is all a small network can do at once; the answer is read off the steps. Left out: subtraction column by column.
"""

import re


def addition_steps(a, b):
    """The columns of a+b from the units up, then the sum: '7+5=12, 4+8+1=13, so 132'."""
    steps, carry = [], 0
    for x, y in _columns(a, b):
        terms = [x, y] + [carry] * (carry > 0)
        steps.append("+".join(map(str, terms)) + f"={sum(terms)}")
        carry = sum(terms) // 10
    return ", ".join(steps) + f", so {a + b}"


def _columns(a, b):
    width = max(len(str(a)), len(str(b)))
    return list(zip(map(int, reversed(str(a).zfill(width))), map(int, reversed(str(b).zfill(width)))))


def last_number(text):
    """The last whole number written in a text, None when there is none: the answer a verifier reads."""
    numbers = re.findall(r"\d+", text)
    return int(numbers[-1]) if numbers else None


def wrote_steps(text):
    """Whether a text works something out before it answers: at least one 'a+b=c' or 'a-b=c'."""
    return re.search(r"\d[+-]\d[\d+-]*=\d", text) is not None
