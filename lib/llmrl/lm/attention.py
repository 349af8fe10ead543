r"""Attention: every position asks a question, compares it with what the visible positions offer, and takes a mixture.

$y_t=\sum_s a_{ts}\,v_s$ with $a_t=\mathrm{softmax}_s(q_t\cdot k_s/\sqrt E)$ over the positions s that t may see. Heads
do this side by side. H query heads may share K sets of keys and values: K = H is multi-head attention (MHA), K = 1
multi-query (MQA), anything between grouped-query (GQA). The function is one and the same; only the cache gets smaller.
Left out: dropout, and computing block by block without ever storing the weights, which is what flash attention does.

Shapes: B sequences, H query heads, K key-value heads, T positions that look, S positions looked at, E width of a head.
"""

import torch


def causal_mask(T, past=0):
    """Who may see whom when T new positions follow `past` old ones: itself and what came before.  -> (T, past + T)"""
    return torch.ones(T, past + T, dtype=torch.bool).tril(past)


def attention_weights(q, k, visible=None, scale=None):
    r"""$\mathrm{softmax}(qk^\top\cdot\mathrm{scale})$ over what is visible; scale is $1/\sqrt E$ unless given.

    q (B, H, T, E), k (B, K, S, E), visible bool (.., T, S) or None for all -> (B, H, T, S)
    """
    check(q, k, visible)
    keys = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)  # (B, H, S, E): neighbouring query heads share
    scores = q @ keys.mT * (q.shape[-1] ** -0.5 if scale is None else scale)  # (B, H, T, S)
    return (scores if visible is None else scores.masked_fill(~visible, float("-inf"))).softmax(-1)


def attend(q, k, v, visible=None, scale=None):
    r"""$\sum_s a_{ts}v_s$.  q (B, H, T, E), k (B, K, S, E), v (B, K, S, any) -> (B, H, T, any)"""
    weights = attention_weights(q, k, visible, scale)  # (B, H, T, S)
    return weights @ v.repeat_interleave(q.shape[1] // k.shape[1], dim=1)


def kv_bytes(layers, kv_heads, head_width, positions, size=4):
    """What a cache takes: two vectors per layer, key-value head and position, `size` bytes a number."""
    return 2 * layers * kv_heads * head_width * positions * size


def check(q, k, visible):
    """Say what does not fit before a product of tensors does."""
    if q.dim() != 4 or k.dim() != 4 or (q.shape[0], q.shape[-1]) != (k.shape[0], k.shape[-1]):
        raise ValueError(
            f"q must be (B, H, T, E) and k (B, K, S, E) with one B and one E, got {tuple(q.shape)} and "
            f"{tuple(k.shape)}: x.unflatten(-1, (heads, -1)).transpose(1, 2) cuts (B, T, D) into heads"
        )
    if k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ValueError(
            f"query heads must be a multiple of key-value heads, got {q.shape[1]} and {k.shape[1]}: equally many "
            f"queries share each key, choose a divisor of {q.shape[1]}"
        )
    if visible is None:
        return
    if visible.dtype != torch.bool or visible.shape[-2:] != (q.shape[2], k.shape[2]):
        raise ValueError(
            f"visible must be bool of shape (.., {q.shape[2]}, {k.shape[2]}), got {visible.dtype} of shape "
            f"{tuple(visible.shape)}: True where row t may look at column s"
        )
    if not visible.any(-1).all():
        blind = (~visible.any(-1)).nonzero()[0, -1].item()
        raise ValueError(
            f"every row of visible needs a True, got none in row {blind}: softmax over nothing is 0/0, which is nan; "
            f"let padding look at itself, nobody reads what it finds"
        )
