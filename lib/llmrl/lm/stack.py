r"""Where the norm stands: before a block reads the stream, or after it has added to it.

The first transformers normed the sum, $x \leftarrow \mathrm{norm}(x+f(x))$ (post-norm); nearly all later ones norm what
a block reads, $x \leftarrow x+f(\mathrm{norm}(x))$ (pre-norm). With pre-norm a gradient finds a way from the loss to
every layer that passes through no norm and no matrix but the last; with post-norm it passes through every norm. Both
stacks here have the same parts and the same weights, and differ in two lines.
Left out: DeepNorm, sandwich norms and other ways to have both.

Shapes: B sequences, T positions, D width, L layers.
"""

import torch
from torch import nn

from llmrl.lm.model import Layer, TinyLM


class PostNormLayer(Layer):
    """Add to the stream, then norm it; twice."""

    def forward(self, x, turn, visible=None, past=None):
        x = self.attention_norm(x + self.attention(x, turn, visible, past))
        return self.ffn_norm(x + self.ffn(x))


def stack(config, place, generator=None):
    """A TinyLM whose layers norm what they read ("pre") or what they leave ("post"), with the same first weights."""
    if place not in ("pre", "post"):
        raise ValueError(f'place must be "pre" or "post", got {place!r}: the norm stands before a block or after it')
    model = TinyLM(config, generator)
    if place == "post":
        weights = model.layers.state_dict()
        model.layers = nn.ModuleList(PostNormLayer(config) for _ in range(config.layers))
        model.layers.load_state_dict(weights)
        model.norm = nn.Identity()  # the last layer has normed the stream already
    return model


@torch.no_grad()
def xavier(model, generator):
    r"""Draw the matrices anew, $w\sim\mathcal{N}(0,\frac{2}{in+out})$: outputs are about as large as inputs."""
    for weight in model.layers.parameters():
        if weight.dim() == 2:
            weight.normal_(0, (2 / sum(weight.shape)) ** 0.5, generator=generator)
    return model


def gradient_norms(model, loss):
    """The length of the loss's gradient in the matrices of each layer.  -> (L,)"""
    matrices = [[p for p in layer.parameters() if p.dim() == 2] for layer in model.layers]
    found = iter(torch.autograd.grad(loss, [p for layer in matrices for p in layer]))
    return torch.stack([torch.stack([next(found).norm() for _ in layer]).norm() for layer in matrices])
