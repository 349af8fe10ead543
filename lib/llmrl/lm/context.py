r"""Frequencies for texts longer than those a rotary model was trained on, without new weights.

Past the trained length the slow pairs of RoPE reach angles no training text ever showed them, while the fast pairs have
been all the way round many times. Position interpolation slows all pairs down by the scale f, as if the new text were
squeezed into the old length. The NTK-aware way raises the base instead, by just so much that the slowest pair is slowed
f times and the fastest not at all. YaRN decides pair by pair: whoever turned often within the trained length keeps its
frequency, whoever did not turn once is slowed f times, and a ramp lies in between; besides it sharpens attention,
because a longer text offers more to be distracted by.
Left out: LongRoPE's search, the frequencies of Llama 3.1.

Shapes: E width of a head. theta are frequencies in radians per token, (E/2,), fastest first.
"""

import math

import torch

from llmrl.lm.positions import check_base, check_width, frequencies, is_number
from llmrl.lm.scheme import Rotary


def interpolated(theta, scale):
    r"""Position interpolation: $\theta_j/f$.  theta (E/2,) -> (E/2,)"""
    check_scale(scale)
    return theta / scale


def ntk_base(base, scale, width):
    r"""NTK-aware: $\beta'=\beta\,f^{E/(E-2)}$, whose slowest pair turns at exactly $1/f$ of its old speed."""
    check_scale(scale)
    check_base(base)
    check_width(width)
    if width == 2:
        raise ValueError("width must be at least 4, got 2: one pair cannot keep its speed and be slowed as well")
    return base * scale ** (width / (width - 2))


def dynamic_base(base, scale, width, length, trained):
    r"""Dynamic NTK: the base for a text of this length, $\beta\left(f\tfrac{L}{L_0}-(f-1)\right)^{E/(E-2)}$."""
    check_scale(scale)
    check_trained(trained)
    return ntk_base(base, scale * max(length, trained) / trained - (scale - 1), width)


def ramp(theta, trained, fast=32, slow=1):
    r"""How much of each pair YaRN slows: 0 for those that turn fast within the trained length, 1 for slow.  -> (E/2,)

    It rises evenly in the number of the pair, from the last that turns `fast` times to the first that turns `slow`
    times, as in YaRN's own code. The paper's text lets it rise with the number of turns.
    """
    check_trained(trained)
    if len(theta) < 2 or not (theta[:-1] > theta[1:]).all():
        raise ValueError(f"theta must be two or more frequencies, fastest first, got {theta.tolist()[:4]}")
    pairs = torch.arange(len(theta))
    step = (theta[0] / theta[-1]).log().item() / (len(theta) - 1)  # log theta falls by this from pair to pair
    place = [math.log(trained * theta[0].item() / (2 * math.pi * turns)) / step for turns in (fast, slow)]
    low, high = max(math.floor(place[0]), 0), min(math.ceil(place[1]), 2 * len(theta) - 1)
    return ((pairs - low) / (high - low or 0.001)).clamp(0, 1)


def yarn(theta, scale, trained, fast=32, slow=1):
    r"""$(1-\gamma_j)\theta_j+\gamma_j\theta_j/f$, where $\gamma$ is the ramp.  theta (E/2,) -> (E/2,)"""
    slowed = ramp(theta, trained, fast, slow)
    return (1 - slowed) * theta + slowed * interpolated(theta, scale)


def yarn_strength(scale):
    r"""$0.1\ln f+1$: queries and keys are both multiplied by it, so the scores of attention are by its square."""
    check_scale(scale)
    return 0.1 * math.log(scale) + 1


def stretched(how, config, scale, trained):
    """The scheme that reads texts scale times as long as the trained ones: "interpolation", "ntk" or "yarn"."""
    theta = frequencies(config.head_width, config.rope_base)
    if how == "interpolation":
        return Rotary(tuple(interpolated(theta, scale).tolist()))
    if how == "ntk":
        base = ntk_base(config.rope_base, scale, config.head_width)
        return Rotary(tuple(frequencies(config.head_width, base).tolist()))
    if how == "yarn":
        return Rotary(tuple(yarn(theta, scale, trained).tolist()), yarn_strength(scale))
    raise ValueError(f"how must be 'interpolation', 'ntk' or 'yarn', got {how!r}")


def check_scale(scale):
    if not is_number(scale) or scale < 1:
        raise ValueError(
            f"scale must be a number of at least 1, got {scale!r}: it is the new length divided by the trained one, "
            f"and a shorter text needs no help"
        )


def check_trained(trained):
    if isinstance(trained, bool) or not isinstance(trained, int) or trained < 1:
        raise ValueError(f"the trained length must be a whole number of at least 1, got {trained!r}: count its tokens")
