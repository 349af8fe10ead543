"""Exercises on LoRA: its forward pass, its size, its gradients, and the spectrum of a change.

Each checker probes what people get wrong: which matrix comes first, what is squared, where a rank is counted from.
Left out: LoRA's relatives, which have exercises of their own.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


@exercise(
    "tuning.low_rank",
    title="What LoRA adds to a linear map",
    signature="low_rank(x: (..., N), A: (r, N), B: (O, r), scale) -> (..., O)",
    solution="llmrl.tuning.lora.low_rank",
    minutes=8,
    difficulty=1,
    hints=(
        "A linear map with weight W computes x @ W.T. Go through A first, from N numbers to r, then through B.",
        "The scale belongs to the product as a whole: use it once, best on the r numbers in the middle.",
    ),
    wrong=(
        Wrong("the scale is missing", lambda x, A, B, s: x @ A.T @ B.T),
        Wrong("the scale was used at both matrices and so came in squared", lambda x, A, B, s: s * (s * x @ A.T) @ B.T),
        Wrong("it was divided by the scale; s stands before the product", lambda x, A, B, s: x @ A.T @ B.T / s),
        Wrong(
            "without the transposes B comes first and A second: only square matrices let that pass",
            lambda x, A, B, s: s * x @ B @ A,
        ),
        Wrong(
            "x was added; what stands beside the adapter is W's output, which the caller adds",
            lambda x, A, B, s: x + s * x @ A.T @ B.T,
        ),
        Wrong(
            "something bent the r numbers in the middle; LoRA is linear, else it could not be merged",
            lambda x, A, B, s: s * (x @ A.T).relu() @ B.T,
        ),
        Wrong(
            "it was divided by the rank; alpha/r is in the scale already", lambda x, A, B, s: s * x @ A.T @ B.T / len(A)
        ),
    ),
)
def low_rank(answer, solution):
    A, B = torch.tensor([[1.0, 2.0], [0.5, -1.0]]), torch.tensor([[3.0, 1.0], [-1.0, 2.0]])  # (2, 2) and (2, 2)
    x = torch.tensor([[5.0, 1.0], [-2.0, 0.5]])
    yield differs(answer(x, A, B, 3.0), solution(x, A, B, 3.0), "where every matrix is square")
    A, B = torch.arange(8.0).view(2, 4) - 3, torch.tensor([[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]])  # N = 4, r = 2, O = 3
    x = torch.arange(24.0).view(2, 3, 4) / 5 - 2
    yield differs(answer(x, A, B, 0.5), solution(x, A, B, 0.5), "from four numbers through two to three")


@exercise(
    "tuning.adapter_size",
    title="How many numbers LoRA trains",
    signature="adapter_size(shapes: list of (O, N), rank) -> int",
    solution="llmrl.tuning.lora.adapter_size",
    minutes=5,
    difficulty=1,
    hints=(
        "Beside a matrix of shape (O, N) stand A of shape (r, N) and B of shape (O, r).",
        "That is r N + O r for each matrix. Sum over all of them.",
    ),
    wrong=(
        Wrong("these are the numbers of the matrices themselves", lambda shapes, r: sum(o * n for o, n in shapes)),
        Wrong("B is missing: A has r N numbers, and B has O r more", lambda shapes, r: sum(r * n for _, n in shapes)),
        Wrong("A is missing: B has O r numbers, and A has r N more", lambda shapes, r: sum(o * r for o, _ in shapes)),
        Wrong("O N r is what a product of all three sizes gives; two thin matrices have r (O + N)",
              lambda shapes, r: sum(o * n * r for o, n in shapes)),
        Wrong("the rank counts for both of the thin matrices", lambda shapes, r: sum(r * n + o for o, n in shapes)),
        Wrong("only the first matrix was counted", lambda shapes, r: r * sum(shapes[0])),
        Wrong("2 r N holds for square matrices only", lambda shapes, r: sum(2 * r * n for _, n in shapes)),
    ),
)  # fmt: skip
def adapter_size(answer, solution):
    yield differs(answer([(3, 5)], 2), solution([(3, 5)], 2), "for one matrix (3, 5) at rank 2")
    shapes = [(128, 128), (64, 128), (352, 128), (128, 352)]
    yield differs(answer(shapes, 8), solution(shapes, 8), f"for {shapes} at rank 8")


@exercise(
    "tuning.rank_for",
    title="The rank that holds a share of the energy",
    signature="rank_for(values: (n,), share) -> int",
    solution="llmrl.tuning.spectrum.rank_for",
    minutes=10,
    difficulty=2,
    hints=(
        "The energy of the first r values is the sum of their squares, divided by the sum of all squares.",
        "cumsum gives that for every r at once. Count the entries that are still below the share, and add one.",
    ),
    wrong=(
        Wrong(
            "the values themselves were added up; energy is the sum of their squares",
            lambda v, share: int((v.cumsum(0) / v.sum() < share).sum()) + 1,
        ),
        Wrong(
            "one too few: where k entries are below the share, the next one reaches it, and that is rank k + 1",
            lambda v, share: int((v.square().cumsum(0) / v.square().sum() < share).sum()),
        ),
        Wrong(
            "a rank that holds exactly the share is enough",
            lambda v, share: int((v.square().cumsum(0) / v.square().sum() <= share).sum()) + 1,
        ),
        Wrong(
            "each value was compared with the largest; the energy of all that come before counts, too",
            lambda v, share: int((v.square() >= (1 - share) * v[0].square()).sum()),
        ),
        Wrong(
            "the squares were not divided by their sum",
            lambda v, share: int((v.square().cumsum(0) < share).sum()) + 1,
        ),
        Wrong(
            "the smallest were taken first; singular values come sorted from the largest",
            lambda v, share: int((v.flip(0).square().cumsum(0) / v.square().sum() < share).sum()) + 1,
        ),
    ),
)
def rank_for(answer, solution):
    steep = torch.tensor([0.5, 0.1, 0.1, 0.05])
    yield differs(answer(steep, 0.9), solution(steep, 0.9), "for (0.5, 0.1, 0.1, 0.05) and a share of 0.9")
    four = torch.tensor([4.0, 3.0, 2.0, 1.0])
    for share in (0.4, 0.6, 0.9, 0.99):
        yield differs(answer(four, share), solution(four, share), f"for (4, 3, 2, 1) and a share of {share}")
    even = torch.ones(4)
    yield differs(answer(even, 0.5), solution(even, 0.5), "for (1, 1, 1, 1) and a share of 0.5")


@exercise(
    "tuning.factor_gradients",
    title="The gradients of A and B",
    signature="factor_gradients(grad: (O, N), A: (r, N), B: (O, r), scale) -> (r, N), (O, r)",
    solution="llmrl.tuning.lora_init.factor_gradients",
    minutes=12,
    difficulty=2,
    hints=(
        "The weight is W + s B A. Change one entry of A a little: which entries of the weight move, and by how much?",
        "Let shapes guide you: (r, N) comes from B.T and G, (O, r) from G and A.T. Return A's gradient first.",
    ),
    wrong=(
        Wrong("the scale is missing", lambda g, A, B, s: (B.T @ g, g @ A.T)),
        Wrong("the order is A, B", lambda g, A, B, s: (s * g @ A.T, s * B.T @ g)),
        Wrong(
            "each gradient was taken through its own matrix; it goes through the other one",
            lambda g, A, B, s: (s * A @ g.T @ g, s * g @ g.T @ B),
        ),
        Wrong("the scale came in squared", lambda g, A, B, s: (s * s * B.T @ g, s * s * g @ A.T)),
        Wrong(
            "the scale was halved between the two; each gradient has all of it",
            lambda g, A, B, s: (s / 2 * B.T @ g, s / 2 * g @ A.T),
        ),
        Wrong(
            "a step downhill has a minus; the gradient itself has none",
            lambda g, A, B, s: (-s * B.T @ g, -s * g @ A.T),
        ),
        Wrong(
            "these came out transposed; a gradient has the shape of what it belongs to",
            lambda g, A, B, s: ((s * B.T @ g).T, (s * g @ A.T).T),
        ),
    ),
)
def factor_gradients(answer, solution):
    grad = torch.tensor([[1.0, -1.0, 2.0], [0.5, 2.0, 0.0]])  # (2, 3)
    A, B = torch.tensor([[1.0, 0.0, -2.0]]), torch.tensor([[3.0], [-1.0]])
    yield differs(answer(grad, A, B, 3.0), solution(grad, A, B, 3.0), "at rank 1")
    yield differs(answer(grad, A, 0 * B, 3.0), solution(grad, A, 0 * B, 3.0), "where B is zero")
    wide = torch.arange(6.0).view(2, 3) - 2, torch.tensor([[1.0, 2.0], [-1.0, 0.5]])
    yield differs(answer(grad, *wide, 0.5), solution(grad, *wide, 0.5), "at rank 2")
