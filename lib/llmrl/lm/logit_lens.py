r"""The logit lens: what a model would say if it stopped after a layer.

The stream after layer $\ell$ has the width of the last one, so the output layer can read it too:
$z_\ell=\mathrm{norm}(x_\ell)E^\top$ (nostalgebraist 2020, "interpreting GPT: the logit lens"). Left out: a learned
translation per layer (the tuned lens), which reads early layers better.

Shapes: L layers, B sequences, T positions, D width, V vocabulary.
"""


def lens(streams, norm, embedding):
    """Scores read from the stream before the first layer and after each.  (L+1, B, T, D), (V, D) -> (L+1, B, T, V)"""
    return norm(streams) @ embedding.T
