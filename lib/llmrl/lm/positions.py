r"""Where a token stands, told in three ways: a wave added to it, a turn of its queries and keys, a fine for distance.

Attention compares vectors and does not know their order, so order has to be put into them. A sinusoidal table gives
position p the waves $\sin p\theta_j,\cos p\theta_j$, and two rows of it have a product that depends on their distance.
RoPE turns pair j of every query and key by the angle $p\theta_j$, and then the product of any query with any key sees
the difference of their positions alone. ALiBi leaves the vectors as they are and subtracts from every score a fine that
grows with the distance, steep in some heads and gentle in others. One set of frequencies serves the first two:
$\theta_j=\beta^{-2j/E}$, from one radian per token down to nearly none.
Left out: learned tables, relative embeddings, two-dimensional positions.

Shapes: T positions, Q positions that ask, K positions that are asked, H heads, E width of a head.
"""

import math

import torch


def frequencies(width, base=10000.0):
    r"""$\theta_j=\beta^{-2j/E}$ in radians per token, j = 0 .. E/2-1.  -> (E/2,)"""
    check_width(width)
    check_base(base)
    return 1.0 / base ** (torch.arange(0, width, 2) / width)


def angles(positions, theta):
    r"""$p\,\theta_j$.  positions (.., T), theta (E/2,) -> (.., T, E/2)"""
    return positions[..., None] * theta.to(positions.device)


def sinusoidal(positions, width, base=10000.0):
    r"""$\sin p\theta_j$ and $\cos p\theta_j$ side by side, pair after pair.  positions (.., T) -> (.., T, width)"""
    angle = angles(positions, frequencies(width, base))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def rope(x, positions, base=10000.0, interleaved=False):
    r"""Turn pair j of x by $p\theta_j$.  x (.., T, E), positions (T,) or any shape that fits (.., T) -> (.., T, E)

    A pair is $(x_j, x_{j+E/2})$, as in Llama; interleaved, as in the paper, it is two neighbours $(x_{2j}, x_{2j+1})$.
    """
    check_width(x.shape[-1])
    if positions.shape[-1:] != x.shape[-2:-1]:
        raise ValueError(
            f"positions must be one per row of x, got {tuple(positions.shape)} for x of shape {tuple(x.shape)}: "
            f"torch.arange(x.shape[-2]) numbers the rows from 0"
        )
    angle = angles(positions, frequencies(x.shape[-1], base))
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)  # (.., T, E/2)
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else x.chunk(2, dim=-1)
    turned = a * cos - b * sin, a * sin + b * cos
    return torch.stack(turned, dim=-1).flatten(-2) if interleaved else torch.cat(turned, dim=-1)


def neighbours(width):
    """The order that brings the halves of every pair together: x[..., neighbours(E)] is interleaved.  -> (E,)"""
    check_width(width)
    return torch.arange(width).reshape(2, -1).T.flatten()


def alibi_slopes(heads):
    """How steep each head's fine is: for a power of two a geometric row that ends at 1/256.  -> (H,)

    Other numbers of heads take the row of the next lower power of two, then every other slope of the next higher one.
    """
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1:
        raise ValueError(f"heads must be a whole number of at least 1, got {heads!r}: every head gets one slope")
    lower = 2 ** int(math.log2(heads))
    slopes = [2 ** (-8 * h / lower) for h in range(1, lower + 1)]
    slopes += [2 ** (-4 * h / lower) for h in range(1, 2 * lower + 1, 2)]
    return torch.tensor(slopes[:heads])


def alibi_bias(slopes, queries, keys):
    r"""$-\mu_h\,(p_q-p_k)$, what a look back costs.  slopes (H,), queries (.., Q), keys (.., K) -> (.., H, Q, K)"""
    distance = (queries[..., :, None] - keys[..., None, :])[..., None, :, :]  # (.., 1, Q, K)
    return -slopes.to(distance.device)[:, None, None] * distance


def check_width(width):
    if isinstance(width, bool) or not isinstance(width, int) or width < 2 or width % 2:
        raise ValueError(
            f"the width of a head must be an even whole number of at least 2, got {width!r}: "
            f"positions turn pairs of numbers, choose {2 * max(1, math.ceil(width / 2)) if is_number(width) else 64}"
        )


def check_base(base):
    if not is_number(base) or not 1 < base < math.inf:
        raise ValueError(f"base must be a number above 1, got {base!r}: 10000 is the usual one, larger turns slower")


def is_number(x):
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)
