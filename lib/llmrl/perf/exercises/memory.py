"""Exercises on the memory and the arithmetic of a training step.

Each checker probes the case in which a rule of thumb goes wrong. Left out: attention's own memory, in the next lesson
but one.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


def _states(weights, gradients, optimizer):
    """A wrong bill, from three functions of (trained, recipe, frozen)."""
    parts = {"weights": weights, "gradients": gradients, "optimizer": optimizer}
    return lambda trained, recipe, frozen=0.0: {name: part(trained, recipe, frozen) for name, part in parts.items()}


def _weights(n, r, f):
    return n * r.weight + f


def _gradients(n, r, f):
    return n * r.gradient


def _optimizer(n, r, f):
    return n * (r.averages + r.master)


@exercise(
    "perf.states",
    title="What lies there whatever the batch",
    signature='states(trained: a count, recipe, frozen: bytes = 0) -> {"weights", "gradients", "optimizer"} in bytes',
    solution="llmrl.perf.memory.states",
    minutes=8,
    difficulty=1,
    hints=(
        "recipe.weight, .gradient, .averages and .master are bytes for every trained number. Frozen weights are bytes "
        "already, and nobody computes a gradient for them.",
        'Three entries: trained * recipe.weight + frozen; trained * recipe.gradient; under "optimizer" the averages '
        "and the master copy together.",
    ),
    wrong=(
        Wrong(
            "the optimizer updates a master copy where the recipe has one; it is held as well",
            _states(_weights, _gradients, lambda n, r, f: n * r.averages),
        ),
        Wrong(
            "frozen weights are held, even if nobody trains them",
            _states(lambda n, r, f: n * r.weight, _gradients, _optimizer),
        ),
        Wrong(
            "frozen is given in bytes, not as a count",
            _states(lambda n, r, f: (n + f) * r.weight, _gradients, _optimizer),
        ),
        Wrong(
            "frozen weights have no gradient",
            _states(_weights, lambda n, r, f: n * r.gradient + f, _optimizer),
        ),
        Wrong(
            "recipe.averages is for both of Adam's averages together",
            _states(_weights, _gradients, lambda n, r, f: n * (2 * r.averages + r.master)),
        ),
        Wrong(
            "the master copy belongs to the optimizer; the weights are those the model computes with",
            _states(lambda n, r, f: n * (r.weight + r.master) + f, _gradients, lambda n, r, f: n * r.averages),
        ),
    ),
)
def states(answer, solution):
    from llmrl.perf.memory import RECIPES, Recipe

    yield differs(answer(7, Recipe(2, 3, 10, 5)), solution(7, Recipe(2, 3, 10, 5)), "for 7 numbers at 2, 3, 10 and 5")
    for name in ("float32", "mixed precision"):
        yield differs(answer(1000, RECIPES[name]), solution(1000, RECIPES[name]), f"for 1,000 numbers in {name}")
    yield differs(answer(10, RECIPES["float32"], 500), solution(10, RECIPES["float32"], 500), "beside 500 frozen bytes")


@exercise(
    "perf.rows_that_fit",
    title="How large may a micro-batch be?",
    signature="rows_that_fit(memory: bytes, fixed: bytes, row: bytes) -> a whole number, a power of two or 0",
    solution="llmrl.perf.memory.rows_that_fit",
    minutes=8,
    difficulty=1,
    hints=(
        "What is left for activations is memory - fixed; how many whole rows fit into that? Then go down to a power "
        "of two, and mind the case where nothing fits.",
        "For a whole number n above 0, 1 << (n.bit_length() - 1) is the largest power of two that is not above n.",
    ),
    wrong=(
        Wrong(
            "what is there anyway has to be taken off first",
            lambda m, f, r: 1 << (int(m // r).bit_length() - 1) if m >= r else 0,
        ),
        Wrong("go down to a power of two", lambda m, f, r: max(0, int((m - f) // r))),
        Wrong(
            "where not one row fits the answer is 0",
            lambda m, f, r: 1 << (max(1, int((m - f) // r)).bit_length() - 1),
        ),
        Wrong(
            "that is the next power of two up: it does not fit",
            lambda m, f, r: 1 << (int((m - f) // r) - 1).bit_length() if m - f >= r else 0,
        ),
        Wrong(
            "a row that fits exactly fits",
            lambda m, f, r: 1 << (int((m - f - 1) // r).bit_length() - 1) if m - f > r else 0,
        ),
    ),
)
def rows_that_fit(answer, solution):
    for memory, fixed, row in (
        (100, 20, 10),
        (100, 22, 14),
        (100, 20, 20),
        (100, 95, 10),
        (100, 120, 10),
        (24e9, 13.5e9, 1.3e9),
    ):
        case = f"memory {memory:g}, fixed {fixed:g}, row {row:g}"
        yield differs(answer(memory, fixed, row), solution(memory, fixed, row), case)


def _again(scale=lambda y, grad: grad):
    """A version that leaves the weights inside without a gradient, and may send something else back."""

    def wrong(function, x, grad):
        inner = x.detach().requires_grad_()
        with torch.enable_grad():
            y = function(inner)
        return torch.autograd.grad(y, inner, scale(y, grad))[0]

    return wrong


@exercise(
    "perf.slope_again",
    title="The backward pass of a checkpoint",
    signature="slope_again(function, x: any shape, slope: the shape of function(x)) -> the slope at x, shaped like x",
    solution="llmrl.perf.checkpointing.slope_again",
    minutes=15,
    difficulty=3,
    hints=(
        "You are inside a backward pass, where torch records nothing. Take x out of any old record with "
        "x.detach().requires_grad_(), switch recording on with torch.enable_grad(), and run the function.",
        "torch.autograd.backward(y, slope) sends the slope back: into the weights that the function uses, and into the "
        "x you detached, whose .grad you return. torch.autograd.grad would leave the weights without theirs.",
    ),
    wrong=(
        Wrong("the weights inside the function got no gradient: torch.autograd.grad asks for x only", _again()),
        Wrong("send the slope that arrives back, not ones", _again(lambda y, slope: torch.ones_like(slope))),
        Wrong("sum what flows back, do not average it", _again(lambda y, slope: slope / slope.numel())),
        Wrong("send the slope back, not its product with the result", _again(lambda y, slope: slope * y.detach())),
        Wrong("the slope at the result is not yet the slope at x: run the function", lambda f, x, slope: slope * 1.0),
        Wrong("that is the result once more; its slope at x is asked for", lambda f, x, slope: f(x.detach())),
    ),
)
def slope_again(answer, solution):
    for case, width in (("with one matrix", 3), ("with a wider one", 5)):
        found = [_probe(each, width) for each in (answer, solution)]
        yield differs(found[0][0], found[1][0], f"{case}, the slope at x")
        yield differs(found[0][1], found[1][1], f"{case}, the gradient of the weights")


def _probe(each, width):
    """The slope at x, and what arrives at a weight inside, asked for the way a backward pass does: nothing recorded."""
    weight = (torch.arange(width * 2.0).view(width, 2) / 7 - 0.3).requires_grad_()
    x, slope = torch.tensor([[0.5, -1.0], [2.0, 0.25]]), torch.linspace(-1, 2, 2 * width).view(2, width)
    with torch.no_grad():
        found = each(lambda x: (x @ weight.T).tanh(), x, slope)
    return found, torch.zeros(width, 2) if weight.grad is None else weight.grad


def _planned(number, segment):
    """A wrong count: number(n) for layers that keep everything, segment(layers, forwards) for those that do not."""
    from llmrl.perf.recompute import layers

    def count(plan):
        return sum(number(i) if isinstance(i, int) else segment(layers(i), count(i)) for i in plan)

    return count


@exercise(
    "perf.forwards",
    title="How often does a plan run a layer forward?",
    signature="forwards(plan: a list of whole numbers and plans) -> a whole number",
    solution="llmrl.perf.recompute.forwards",
    minutes=10,
    difficulty=2,
    hints=(
        "A number n: those layers run once, so n. A segment: on the way forward each of its layers runs once; later "
        "the segment is run again, as its own plan says, and that may hold segments again.",
        "The function calls itself on what is inside a segment. layers(plan) of llmrl.perf.recompute counts the layers "
        "of a plan, however deep they are nested.",
    ),
    wrong=(
        Wrong("a segment runs twice: on the way forward, and again", _planned(lambda n: n, lambda n, again: again)),
        Wrong(
            "when a segment is run again its own segments are forgotten again: count them by calling yourself",
            _planned(lambda n: n, lambda n, again: 2 * n),
        ),
        Wrong("what keeps everything runs once", _planned(lambda n: 2 * n, lambda n, again: n + again)),
        Wrong(
            "the first run of a segment passes each of its layers once, however deep it is nested",
            _planned(lambda n: n, lambda n, again: 2 * again),
        ),
        Wrong("count every layer, not every segment", _planned(lambda n: n, lambda n, again: 1 + again)),
    ),
)
def forwards(answer, solution):
    for plan in ([4], [[2], [2]], [[3], 1], [[[[1], 1], 1], 1], [[[1], 1], [1], 1]):
        yield differs(answer(plan), solution(plan), f"for {plan}")
