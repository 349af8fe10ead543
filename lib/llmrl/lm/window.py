r"""Sliding windows: look at the last W positions only, and the cost per token stops growing with the text.

A position sees itself and the W - 1 before it; anchors, a few chosen positions, see everything before them and are
seen by everything after (global tokens; the first few positions as anchors are attention sinks). A rolling cache keeps
what a window can see and writes over the rest. Each layer hands on what its window saw, so L layers reach L(W - 1)
positions back. Left out: other widths in other layers, dilated windows, renumbering the positions inside the cache.

Shapes: B sequences, H query heads, K key-value heads, T positions, E width of a head, W window.
"""

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from llmrl.lm.attention import attend, causal_mask
from llmrl.lm.cache import Past


def window_mask(T, window, anchors=()):
    """Who may see whom: the window, and anchors see all before them and are seen by all after.  -> bool (T, T)"""
    check_window(window)
    if any(not 0 <= a < T for a in anchors):
        raise ValueError(
            f"anchors must be positions in [0, {T}), got {tuple(anchors)}: (0, 1, 2, 3) are the first four"
        )
    causal = causal_mask(T)
    visible = causal & ~causal.tril(-window)
    anchors = list(anchors)
    visible[anchors], visible[:, anchors] = causal[anchors], causal[:, anchors]
    return visible


class Rolling(Past):
    """A cache that keeps the first `sinks` positions and the last `window`, whatever the length of the text."""

    def __init__(self, sinks, *shape):
        super().__init__(*shape)
        self.sinks = sinks

    def append(self, k, v):
        """Write one position over the oldest that may go, and return what is kept, in no particular order."""
        if k.shape[2] != 1:
            raise ValueError(f"a rolling cache takes one position at a time, got {k.shape[2]}: feed the text in a loop")
        room = self.k.shape[2]
        late = (self.length - self.sinks) % (room - self.sinks)
        place = self.length if self.length < self.sinks else self.sinks + late
        self.k[:, :, place], self.v[:, :, place] = k[:, :, 0], v[:, :, 0]
        self.length += 1
        return self.k[:, :, : self.length], self.v[:, :, : self.length]  # a slice ends where the room does


def rolling_cache(model, rows, window, sinks=0):
    """An empty rolling past for every layer of the model."""
    check_window(window)
    c, like = model.config, model.embed.weight.detach()
    return [Rolling(sinks, rows, c.kv_heads, sinks + window, c.head_width, like) for _ in model.layers]


def banded(q, k, v, window):
    """Windowed attention of a whole text at the price of the band: each block of W queries reads two blocks of keys.

    q (B, H, T, E), k and v (B, K, T, E) with T a multiple of the window -> (B, H, T, E)
    """
    check_window(window)
    T = q.shape[2]
    if T % window:
        raise ValueError(
            f"the length must be a multiple of the window, got {T} and {window}: pad the text on the right"
        )
    blocks = [range(start, start + window) for start in range(0, T, window)]
    visible = window_mask(2 * window, window)[window:]  # (W, 2W): a block looks at the one before and at itself
    outputs = []
    for block in blocks:
        first = max(0, block.start - window)
        seen, sees = slice(first, block.stop), visible[:, -(block.stop - first) :]
        outputs.append(attend(q[:, :, block.start : block.stop], k[:, :, seen], v[:, :, seen], sees))
    return torch.cat(outputs, dim=2)


class Restricted(TorchFunctionMode):
    """Inside this block every scaled_dot_product_attention sees through the given mask instead of its own."""

    def __init__(self, visible):
        super().__init__()
        self.visible = visible

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            kwargs |= {"attn_mask": self.visible, "is_causal": False}
        return func(*args, **kwargs)


def influence(model, ids, visible):
    """How far each token's embedding can move the last position's best logit: gradient norms.  ids (1, T) -> (T,)"""
    kept = []
    hook = model.embed.register_forward_hook(lambda module, inputs, out: kept.append(out.requires_grad_()))
    try:
        with torch.enable_grad(), Restricted(visible):
            best = model(ids)[0, -1].max()
    finally:
        hook.remove()
    return torch.autograd.grad(best, kept[0])[0][0].norm(dim=-1)


def check_window(window):
    if not isinstance(window, int) or isinstance(window, bool) or window < 1:
        raise ValueError(f"window must be a whole number of at least 1, got {window!r}: 1 sees itself alone")
