r"""Flash attention: exact attention by tiles, which never writes the T x S weights down.

Forward, a tile of queries meets one tile of keys and values after the other and keeps the state (m, l, o) of the online
softmax. Only the output and $L=\log\sum_s e^{s}$ of each row are kept. Backward, every tile of weights is computed
again, $p=e^{s-L}$, used, and thrown away: $dv=p^\top do$, $dp=do\,v^\top$, $ds=p\circ(dp-D)$ with $D=\sum_e do\circ o$,
$dq=ds\,k$, $dk=ds^\top q$. Causal tiles beyond the diagonal are skipped, and those it crosses are masked. (Dao et al.
2022, arXiv:2205.14135; the order of the loops is that of Dao 2023, arXiv:2307.08691.)
Left out: dropout, other masks, gradients of gradients, and the kernel itself: here the tiles are tensors, so a memory
that holds them is saved and time is not.

Shapes: B sequences, H query heads, K key-value heads, G = H/K, T positions that look, S looked at, E width of a head.
"""

from itertools import groupby
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from llmrl.lm.attention import check
from llmrl.perf.online_softmax import combine, finish, nothing, state_of
from llmrl.perf.traffic import Traffic


class Tile(NamedTuple):
    """A rectangle of the score matrix."""

    rows: slice
    columns: slice
    kind: str  # "whole", or "cut" by the diagonal


def tile_kind(rows, columns, past=0):
    """Under a causal mask: "whole", "cut" or "skip".  rows, columns: (first, end); row t stands at position past + t"""
    if columns[0] > past + rows[1] - 1:  # the last row does not see the first column
        return "skip"
    return "whole" if columns[1] - 1 <= past + rows[0] else "cut"  # the first row sees the last column


def tiles(T, S, block, causal):
    """The tiles that are computed, row by row.  block: a number, or (rows, columns)  -> list of Tile"""
    R, C = rows_and_columns(block)
    found = []
    for rows in ((i, min(i + R, T)) for i in range(0, T, R)):
        for columns in ((j, min(j + C, S)) for j in range(0, S, C)):
            kind = tile_kind(rows, columns, S - T) if causal else "whole"
            if kind != "skip":
                found.append(Tile(slice(*rows), slice(*columns), kind))
    return found


def tile_scores(q, k, tile, past):
    """Scores of one tile, those of later positions at minus infinity.  q (.., R, E), k (.., C, E) -> (.., R, C)"""
    scores = q @ k.mT * q.shape[-1] ** -0.5
    if tile.kind == "whole":
        return scores
    t, s = (torch.arange(part.start, part.stop, device=q.device) for part in (tile.rows, tile.columns))
    return scores.masked_fill(s > past + t[:, None], -torch.inf)


def forward_tiles(q, k, v, causal, block, traffic):
    """(.., T, E), (.., S, E), (.., S, E) -> output (.., T, E) and logsumexp (.., T)"""
    T, S = q.shape[-2], k.shape[-2]
    out, logsumexp = torch.empty_like(q), q.new_empty(q.shape[:-1], dtype=torch.promote_types(q.dtype, torch.float32))
    for rows, row in groupby(tiles(T, S, block, causal), lambda tile: tile.rows):
        q_r = traffic.load(q[..., rows, :])
        state = nothing(q_r.shape[:-1], q.shape[-1], q_r)
        for tile in row:
            k_c, v_c = (traffic.load(x[..., tile.columns, :]) for x in (k, v))
            state = combine(state, state_of(tile_scores(q_r, k_c, tile, S - T), v_c))
        for place, x in zip((out[..., rows, :], logsumexp[..., rows]), finish(state)):
            traffic.store(place, x)
    return out, logsumexp


def score_gradient(p, do, v, o):
    r"""$ds=p\circ(do\,v^\top-\sum_e do\circ o)$, without the weights of other tiles.

    p (.., R, C) weights of a tile, do and o (.., R, E) of its rows, v (.., C, E) -> (.., R, C)
    """
    return p * (do @ v.mT - (do * o).sum(-1, keepdim=True))


def backward_tiles(q, k, v, o, logsumexp, do, settings):
    """The gradients of q, k and v, column by column, so that those of k and v are stored once."""
    causal, block, traffic = settings
    T, S = q.shape[-2], k.shape[-2]
    dq, dk, dv = (torch.zeros_like(x, dtype=logsumexp.dtype) for x in (q, k, v))
    by_column = sorted(tiles(T, S, block, causal), key=lambda tile: tile.columns.start)
    for columns, column in groupby(by_column, lambda tile: tile.columns):
        k_c, v_c = (traffic.load(x[..., columns, :]) for x in (k, v))
        dk_c, dv_c = torch.zeros_like(k_c), torch.zeros_like(v_c)
        for tile in column:
            q_r, o_r, do_r = (traffic.load(x[..., tile.rows, :]) for x in (q, o, do))
            again = tile_scores(q_r, k_c, tile, S - T)  # the forward pass threw them away
            p = (again - traffic.load(logsumexp[..., tile.rows])[..., None]).exp()  # (.., R, C)
            ds = score_gradient(p, do_r, v_c, o_r) * q.shape[-1] ** -0.5
            traffic.store(dq[..., tile.rows, :], traffic.load(dq[..., tile.rows, :]) + ds @ k_c)
            dk_c += (ds.mT @ q_r).sum_to_size(dk_c.shape)  # heads that share a key add up
            dv_c += (p.mT @ do_r).sum_to_size(dv_c.shape)
        traffic.store(dk[..., columns, :], dk_c), traffic.store(dv[..., columns, :], dv_c)
    return dq.to(q.dtype), dk.to(k.dtype), dv.to(v.dtype)


class Flash(torch.autograd.Function):
    """The two passes as one function that autograd can differentiate."""

    @staticmethod
    def forward(ctx, q, k, v, *settings):
        out, logsumexp = forward_tiles(q, k, v, *settings)
        ctx.settings = settings
        ctx.save_for_backward(q, k, v, out, logsumexp)
        return out, logsumexp

    @staticmethod
    @once_differentiable
    def backward(ctx, do, _):
        return *backward_tiles(*ctx.saved_tensors, do, ctx.settings), None, None, None


def flash(q, k, v, causal=True, block=64, traffic=None):
    """Attention.  q (B, H, T, E), k and v (B, K, S, E) -> (B, H, T, E)

    With causal the T rows are the last T of the S positions. block: the side of a tile, or (rows, columns).
    """
    return flash_with_logsumexp(q, k, v, causal, block, traffic)[0]


def flash_with_logsumexp(q, k, v, causal=True, block=64, traffic=None):
    """The same, and the logsumexp of every row's scores, (B, H, T), which has no gradient here."""
    checked(q, k, v, causal)
    G = q.shape[1] // k.shape[1]
    q, k, v = q.unflatten(1, (-1, G)), k[:, :, None], v[:, :, None]  # (B, K, G, T, E), (B, K, 1, S, E)
    out, logsumexp = Flash.apply(q, k, v, causal, rows_and_columns(block), traffic or Traffic())
    return out.flatten(1, 2), logsumexp.detach().flatten(1, 2)


class InTiles(TorchFunctionMode):
    """Inside this block every scaled_dot_product_attention of a model without padding is computed by tiles."""

    def __init__(self, block=64):
        super().__init__()
        self.block = block

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        mask, causal = (kwargs or {}).get("attn_mask"), (kwargs or {}).get("is_causal", False)
        if mask is not None:
            raise ValueError("tiles know the causal mask only, got attn_mask: read texts of one length, unpadded")
        return flash(*args, causal=causal, block=self.block)


def rows_and_columns(block):
    """block as (rows, columns)."""
    pair = block if isinstance(block, (tuple, list)) else (block, block)
    if len(pair) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in pair):
        raise ValueError(
            f"block must be a whole number of at least 1, or two of them, rows and columns, got {block!r}: 64 works, "
            f"and need not divide the length"
        )
    return tuple(pair)


def checked(q, k, v, causal):
    """Say what does not fit before a product of tiles does."""
    check(q, k, None)
    if v.shape != k.shape:
        raise ValueError(f"v must be of the shape of k, {tuple(k.shape)}, got {tuple(v.shape)}: one value per key")
    if q.shape[2] == 0 or k.shape[2] == 0:
        raise ValueError(f"attention needs a query and a key, got {q.shape[2]} and {k.shape[2]} positions")
    if causal and q.shape[2] > k.shape[2]:
        raise ValueError(
            f"causal queries are the last of the keys' positions, got {q.shape[2]} queries and {k.shape[2]} keys: the "
            f"first {q.shape[2] - k.shape[2]} would see nothing; pass causal=False, or all keys"
        )
