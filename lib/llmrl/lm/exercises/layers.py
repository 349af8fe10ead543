"""Exercises on the layers of a model and on what flows back through them.

Each checker probes what people get wrong: the axis of a mean, the place of eps, a transpose, the order of steps back.
Left out: the mixture of experts, which has exercises of its own.
"""

import torch
import torch.nn.functional as F

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


def _rms(x, weight, eps=1e-5, mean=lambda squares: squares.mean(-1, keepdim=True)):
    return x / (mean(x.square()) + eps).sqrt() * weight


@exercise(
    "lm.rms_norm",
    title="Root mean square norm",
    signature="rms_norm(x: (..., D), weight: (D,), eps=1e-5) -> (..., D)",
    solution="llmrl.lm.norms.rms_norm",
    minutes=8,
    difficulty=1,
    hints=(
        "Square the numbers of each vector, take the mean over the last dimension, add eps, take the root: one number.",
        "keepdim=True leaves the averaged dimension as a one, so that the division fits every entry of the vector.",
    ),
    wrong=(
        Wrong(
            "the squares were added up; their mean is wanted, so that the size does not depend on the width",
            lambda x, w, eps=1e-5: _rms(x, w, eps, lambda s: s.sum(-1, keepdim=True)),
        ),
        Wrong(
            "the mean ran over the whole tensor; every vector has a size of its own",
            lambda x, w, eps=1e-5: _rms(x, w, eps, lambda s: s.mean()),
        ),
        Wrong(
            "the mean ran over the first dimension, which mixes vectors; take the last",
            lambda x, w, eps=1e-5: _rms(x, w, eps, lambda s: s.mean(0, keepdim=True)),
        ),
        Wrong(
            "the mean was subtracted first, which is LayerNorm; RMSNorm leaves it in",
            lambda x, w, eps=1e-5: _rms(x - x.mean(-1, keepdim=True), w, eps),
        ),
        Wrong(
            "eps was added outside the root; inside, it keeps the root's slope finite as well",
            lambda x, w, eps=1e-5: x / (x.square().mean(-1, keepdim=True).sqrt() + eps) * w,
        ),
        Wrong("without eps a vector of zeros becomes nan", lambda x, w, eps=1e-5: _rms(x, w, 0.0)),
        Wrong("the weight was not used", lambda x, w, eps=1e-5: _rms(x, 1.0, eps)),
        Wrong(
            "the root is missing, and the output shrinks when the input grows",
            lambda x, w, eps=1e-5: x / (x.square().mean(-1, keepdim=True) + eps) * w,
        ),
    ),
)
def rms_norm(answer, solution):
    weight = torch.tensor([1.0, 2.0, 0.5])
    two = torch.tensor([[3.0, 0.0, 4.0], [1.0, 2.0, -2.0]])
    yield differs(answer(two, weight), solution(two, weight), "on two vectors of three numbers")
    small = torch.tensor([[1e-3, -2e-3, 2e-3]])
    yield differs(answer(small, weight), solution(small, weight), "on a vector about as small as the root of eps")
    texts = torch.arange(24.0).reshape(2, 4, 3) - 7
    yield differs(answer(texts, weight), solution(texts, weight), "on x of shape (2, 4, 3)")
    nothing = torch.zeros(1, 3)
    yield differs(answer(nothing, weight), solution(nothing, weight), "on a vector of zeros")


def _batch(x, weight, bias, dims=(0, 1), eps=1e-5, correction=0):
    mean, variance = x.mean(dims, keepdim=True), x.var(dims, keepdim=True, correction=correction)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


@exercise(
    "lm.batch_norm",
    title="BatchNorm while training: which numbers belong together",
    signature="batch_norm(x: (B, T, D), weight: (D,), bias: (D,)) -> (B, T, D)",
    solution="llmrl.lm.norms.batch_norm",
    minutes=10,
    difficulty=2,
    hints=(
        "Each of the D features has one mean and one variance, taken over every text and every position.",
        "x.mean((0, 1), keepdim=True) averages over two dimensions at once. var wants correction=0. Then add 1e-5.",
    ),
    wrong=(
        Wrong("the mean ran over the features, which is LayerNorm", lambda x, w, b: _batch(x, w, b, -1)),
        Wrong("positions belong to the batch, too: average over both", lambda x, w, b: _batch(x, w, b, 0)),
        Wrong("texts belong to the batch, too: average over both", lambda x, w, b: _batch(x, w, b, 1)),
        Wrong("all features shared one mean; each has its own", lambda x, w, b: _batch(x, w, b, (0, 1, 2))),
        Wrong(
            "the variance was divided by n-1; while training BatchNorm divides by n, and by n-1 only what it remembers",
            lambda x, w, b: _batch(x, w, b, correction=1),
        ),
        Wrong("eps is missing, and a feature that never varies becomes nan", lambda x, w, b: _batch(x, w, b, eps=0.0)),
        Wrong("weight and bias were not used", lambda x, w, b: _batch(x, 1.0, 0.0)),
        Wrong(
            "the deviations were divided by the variance; its root is the typical size",
            lambda x, w, b: (x - x.mean((0, 1))) / (x.var((0, 1), correction=0) + 1e-5) * w + b,
        ),
    ),
)
def batch_norm(answer, solution):
    weight, bias = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([0.0, 1.0, 0.5])
    x = torch.tensor([[[1.0, 2.0, 0.0], [3.0, -1.0, 4.0]], [[0.0, 5.0, 1.0], [2.0, 2.0, -3.0]]])  # (2, 2, 3)
    yield differs(answer(x, weight, bias), solution(x, weight, bias), "on two texts of two positions")
    longer = torch.cat([x, x.flip(0), 3 * x], 1)
    yield differs(answer(longer, weight, bias), solution(longer, weight, bias), "on x of shape (2, 6, 3)")
    alike = x.clone()
    alike[..., 1] = 7.0
    yield differs(answer(alike, weight, bias), solution(alike, weight, bias), "where one feature is always 7")


@exercise(
    "lm.swiglu",
    title="The gate of SwiGLU",
    signature="swiglu(gate: (..., M), up: (..., M)) -> (..., M)",
    solution="llmrl.lm.swiglu.swiglu",
    minutes=6,
    difficulty=1,
    hints=(
        "silu(a) is a times the sigmoid of a: the number itself, let through in part.",
        "Only the gate goes through silu. The up numbers are multiplied by what comes out, entry by entry.",
    ),
    wrong=(
        Wrong("a bare sigmoid is the older GLU; silu is the number times its sigmoid", lambda a, u: a.sigmoid() * u),
        Wrong("gate and up changed places: the gate is the one that goes through silu", lambda a, u: F.silu(u) * a),
        Wrong("silu went around the product; it belongs around the gate alone", lambda a, u: F.silu(a * u)),
        Wrong("both went through silu; up stays as it is", lambda a, u: F.silu(a) * F.silu(u)),
        Wrong("the two were added; a gate multiplies", lambda a, u: F.silu(a) + u),
        Wrong("ReLU as the gate is ReGLU, which shuts completely below zero", lambda a, u: a.relu() * u),
        Wrong("GELU as the gate is GEGLU: close, but another curve", lambda a, u: F.gelu(a) * u),
        Wrong("up is missing: this is the gate alone", lambda a, u: F.silu(a)),
        Wrong(
            "e to a large number overflowed; use torch's sigmoid, or 1 / (1 + e^-a)",
            lambda a, u: a * a.exp() / (1 + a.exp()) * u,
        ),
    ),
)
def swiglu(answer, solution):
    gate, up = torch.tensor([-2.0, -0.5, 0.0, 1.0, 3.0]), torch.tensor([1.0, -2.0, 3.0, 0.5, -1.0])
    yield differs(answer(gate, up), solution(gate, up), "on five numbers")
    far = torch.tensor([[200.0, -200.0]]), torch.tensor([[1.0, 2.0]])
    yield differs(answer(*far), solution(*far), "on gates far from zero")


@exercise(
    "lm.linear_backward",
    title="One step backward through y = x Wᵀ + b",
    signature="linear_backward(grad: (B, O), x: (B, D), weight: (O, D)) -> (B, D), (O, D), (O,)",
    solution="llmrl.lm.backprop.linear_backward",
    minutes=12,
    difficulty=2,
    hints=(
        "Let shapes guide you: of (B, O), (B, D) and (O, D) only one product gives (B, D), and only one gives (O, D).",
        "Every example adds to the gradient of the weight and of the bias: sum over B. Return input, weight, bias.",
    ),
    wrong=(
        Wrong(
            "the bias needs the sum over examples, not the mean; the loss has averaged already",
            lambda g, x, w: (g @ w, g.T @ x, g.mean(0)),
        ),
        Wrong(
            "the weight's gradient was averaged over examples once more; the loss has averaged already",
            lambda g, x, w: (g @ w, g.T @ x / len(g), g.sum(0)),
        ),
        Wrong(
            "the weight's gradient came out transposed; it has the shape of the weight",
            lambda g, x, w: (g @ w, x.T @ g, g.sum(0)),
        ),
        Wrong("the bias serves all examples; its gradient is their sum", lambda g, x, w: (g @ w, g.T @ x, g)),
        Wrong("the order is input, weight, bias", lambda g, x, w: (g.T @ x, g.sum(0), g @ w)),
        Wrong(
            "the input's gradient was masked; a ReLU before this layer is a step of its own",
            lambda g, x, w: ((g @ w) * (x > 0), g.T @ x, g.sum(0)),
        ),
        Wrong(
            "a weight meets every example's gradient with the same example's input; here the sums were multiplied",
            lambda g, x, w: (g @ w, torch.outer(g.sum(0), x.sum(0)), g.sum(0)),
        ),
    ),
)
def linear_backward(answer, solution):
    grad = torch.tensor([[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]])  # (3, 2)
    x = torch.tensor([[1.0, 2.0, -1.0, 0.0], [0.0, -1.0, 3.0, 1.0], [2.0, 0.0, 1.0, -2.0]])  # (3, 4)
    weight = torch.tensor([[1.0, 0.0, 2.0, -1.0], [3.0, 1.0, 0.0, 0.5]])  # (2, 4)
    yield differs(answer(grad, x, weight), solution(grad, x, weight), "on three examples, from four numbers to two")
    square = grad[:2], x[:2, :2], weight[:, :2]
    yield differs(answer(*square), solution(*square), "on two examples, from two numbers to two")


def _back(grad, states, weight, step):
    grads = [grad]
    for t in range(states.shape[1] - 1, 0, -1):
        grads.insert(0, step(grads[0], states, t, weight))
    return torch.stack(grads, 1)


@exercise(
    "lm.through_time",
    title="A gradient travels back through time",
    signature="through_time(grad: (B, D), states: (B, T, D), weight: (D, D)) -> (B, T, D)",
    solution="llmrl.lm.recurrent.through_time",
    minutes=15,
    difficulty=3,
    hints=(
        "The state is h_t = tanh(W h_{t-1} + ...). The slope of tanh is 1 - tanh², and tanh of it is h_t itself.",
        "Start with grad at t = T-1 and go down. Going backward, the tanh is met before the weight.",
    ),
    wrong=(
        Wrong(
            "the slope of tanh is missing: 1 minus the square of the state",
            lambda g, h, w: _back(g, h, w, lambda g, h, t, w: g @ w),
        ),
        Wrong(
            "the slope was taken at the earlier state; the step from t-1 to t bends at h_t",
            lambda g, h, w: _back(g, h, w, lambda g, h, t, w: (g * (1 - h[:, t - 1] ** 2)) @ w),
        ),
        Wrong(
            "the slope came after the weight; going backward, the tanh is met first",
            lambda g, h, w: _back(g, h, w, lambda g, h, t, w: (g @ w) * (1 - h[:, t] ** 2)),
        ),
        Wrong(
            "forward multiplies rows by the transposed weight, so backward multiplies by the weight itself",
            lambda g, h, w: _back(g, h, w, lambda g, h, t, w: (g * (1 - h[:, t] ** 2)) @ w.T),
        ),
        Wrong(
            "tanh was applied once more; the states are already its results",
            lambda g, h, w: _back(g, h, w, lambda g, h, t, w: (g * (1 - h[:, t].tanh() ** 2)) @ w),
        ),
        Wrong(
            "the result runs backward; the gradient in the first state comes first, the given one last",
            lambda g, h, w: _back(g, h, w, lambda g, h, t, w: (g * (1 - h[:, t] ** 2)) @ w).flip(1),
        ),
        Wrong(
            "one step too many: the last state's gradient is the given one, unchanged",
            lambda g, h, w: _back(
                (g * (1 - h[:, -1] ** 2)) @ w, h, w, lambda g, h, t, w: (g * (1 - h[:, t - 1] ** 2)) @ w
            ),
        ),
    ),
)
def through_time(answer, solution):
    weight = torch.tensor([[0.5, -1.0], [2.0, 0.25]])
    states = torch.tensor([[[0.1, -0.5], [0.8, 0.3], [-0.6, 0.9], [0.2, -0.7]]])  # (1, 4, 2)
    grad = torch.tensor([[1.0, -2.0]])
    yield differs(answer(grad, states, weight), solution(grad, states, weight), "on one text of four states")
    two = grad.repeat(2, 1) * torch.tensor([[1.0], [3.0]]), torch.cat([states, -states.flip(1) / 2]), weight
    yield differs(answer(*two), solution(*two), "on two texts")
    yield differs(answer(grad, states[:, :1], weight), solution(grad, states[:, :1], weight), "on a single state")
