r"""Forward and backward through a small network, by hand.

The forward pass keeps the input of every layer. The backward pass starts from the slope of the loss in the logits and
goes through the layers in reverse; each turns the gradient in its output, with the input it kept, into the gradients
in its weights and in its input: $\partial W=g^\top x$, $\partial b=\sum_i g_i$, $\partial x=gW$ (Rumelhart, Hinton and
Williams 1986). ReLU needs nothing of its own: where its output is above zero the gradient passes.
Left out: everything autograd does beyond a chain, such as adding up the gradients of a tensor that was used twice.

Shapes: B examples, D numbers into a layer, O out of it, V classes. A layer is a pair (weight (O, D), bias (O,)).
"""

import torch


def forward(x, layers):
    """The input, what each hidden layer makes of it (linear, then ReLU), the logits last: a tensor more than layers."""
    kept = [x]
    for weight, bias in layers[:-1]:
        kept.append(torch.relu(kept[-1] @ weight.T + bias))
    weight, bias = layers[-1]
    return [*kept, kept[-1] @ weight.T + bias]


def cross_entropy_backward(logits, labels):
    r"""$\frac{1}{B}(p-\mathrm{onehot}(y))$, the gradient of the mean of $-\log p_y$.  (B, V), (B,) -> (B, V)"""
    right = torch.nn.functional.one_hot(labels, logits.shape[-1])
    return (logits.softmax(-1) - right) / len(logits)


def linear_backward(grad, x, weight):
    """The gradients in input, weight, bias from that in the output.  grad (B, O), x (B, D), weight (O, D)"""
    return grad @ weight, grad.T @ x, grad.sum(0)


def relu_backward(grad, y):
    """What passes a ReLU with output y: the gradient where y is above zero."""
    return torch.where(y > 0, grad, 0.0)


def backward(kept, layers, grad):
    """The gradients in every tensor that was kept, and in every layer's weight and bias, from that in the logits."""
    in_kept, in_layers = [grad], []
    for i in reversed(range(len(layers))):
        if i + 1 < len(layers):  # the last layer has no ReLU behind it
            grad = relu_backward(grad, kept[i + 1])
        grad, *found = linear_backward(grad, kept[i], layers[i][0])
        in_kept.insert(0, grad)
        in_layers.insert(0, tuple(found))
    return in_kept, in_layers
