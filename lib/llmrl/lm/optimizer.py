r"""What an optimizer does with a gradient, written out: AdamW's step, and the clipping before it.

Adam divides an average of the gradients by the root of an average of their squares, so a step is about as long as the
learning rate whatever the scale of the loss. Both averages start at zero and are corrected for it. Weight decay shrinks
the weight directly, beside the gradient (Loshchilov and Hutter 2019): inside it, the division would undo it. Clipping
shortens the gradient of all weights together when it is too long and keeps its direction.
Left out: speed. Training uses torch's own, equal to this up to rounding, and 1e-6 added to the length when it clips.
"""

import torch


def adamw_step(weight, gradient, state, lr, weight_decay=0.0, betas=(0.9, 0.95), eps=1e-8):
    r"""One step.  state (t, m, v) before it, (0, 0.0, 0.0) at first -> the new weight and state

    $m\leftarrow\beta_1m+(1-\beta_1)g$, $v\leftarrow\beta_2v+(1-\beta_2)g^2$, and
    $w\leftarrow(1-\eta\lambda)w-\eta\,\frac{m/(1-\beta_1^t)}{\sqrt{v/(1-\beta_2^t)}+\epsilon}$
    """
    t, m, v = state
    t, m, v = t + 1, betas[0] * m + (1 - betas[0]) * gradient, betas[1] * v + (1 - betas[1]) * gradient**2
    step = (m / (1 - betas[0] ** t)) / ((v / (1 - betas[1] ** t)).sqrt() + eps)
    return (1 - lr * weight_decay) * weight - lr * step, (t, m, v)


def clip(gradients, longest):
    """Gradients shortened together to at most this length, and the length they had.  list of tensors -> list, number"""
    if not longest > 0:
        raise ValueError(f"longest must be above 0, got {longest!r}: 1.0 is common, float('inf') never clips")
    length = torch.stack([gradient.norm() for gradient in gradients]).norm()
    share = (longest / length).clamp(max=1.0)
    return [gradient * share for gradient in gradients], length
