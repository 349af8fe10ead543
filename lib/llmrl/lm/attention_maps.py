"""Where the heads of a running model look, and what it can do without one of them.

A model that calls torch's scaled_dot_product_attention tells its queries and keys to whoever listens there, so the
weights can be computed beside it without changing the model. A head's output is a slice of what the output projection
reads; set it to zero and the head is gone. Left out: what a head writes once it has looked; biases added to scores.

Shapes: L layers, B sequences, H heads, T positions.
"""

import contextlib

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from llmrl.lm.attention import attention_weights, causal_mask


class Listener(TorchFunctionMode):
    """Computes the weights of every attention that runs while it listens."""

    def __init__(self):
        super().__init__()
        self.maps = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            q, k = args[:2]
            visible = causal_mask(q.shape[2]).to(q.device) if kwargs.get("is_causal") else kwargs.get("attn_mask")
            self.maps.append(attention_weights(q, k, visible, kwargs.get("scale")))
        return func(*args, **kwargs)


def attention_maps(model, ids):
    """The weights of every layer and head, from one forward pass.  ids (B, T) -> (L, B, H, T, T)"""
    with Listener() as listener:
        model(ids)
    return torch.stack(listener.maps)


@contextlib.contextmanager
def without_head(model, layer, head):
    """Inside this block, TinyLM's given head writes nothing."""
    start = head * model.config.head_width
    stop = start + model.config.head_width

    def silence(projection, inputs):
        return (torch.cat([inputs[0][..., :start], 0 * inputs[0][..., start:stop], inputs[0][..., stop:]], dim=-1),)

    hook = model.layers[layer].attention.out.register_forward_pre_hook(silence)
    try:
        yield
    finally:
        hook.remove()
