"""Exercises on planning in a world that is written down.

Each checker probes what people get wrong: the state whose value is read, what gamma multiplies, the axis of a mean,
ties, and a loop that stops because its steps are small although it still has far to go.
Left out: policy iteration, which is these four put together.
"""

import numpy as np

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs

# Three states, two actions; the second state is a trap that pays -1 for ever, the third one pays by where it leads.
P = np.array(
    [
        [[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]],
        [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]],
        [[0.6, 0.0, 0.4], [0.1, 0.8, 0.1]],
    ]
)
R = np.array(
    [
        [[1.0, 0.0, -2.0], [5.0, 3.0, 0.5]],
        [[7.0, -1.0, 4.0], [2.0, -1.0, 9.0]],
        [[2.0, 8.0, -1.0], [0.0, 1.0, 3.0]],
    ]
)
PAID = (P * R).sum(-1)  # (S, A)


@exercise(
    "rl.q_from_v",
    title="One step ahead: from V to Q",
    signature="q_from_v(P: (S, A, S), R: (S, A, S), values: (S,), gamma) -> (S, A)",
    solution="llmrl.rl.planning.q_from_v",
    minutes=8,
    difficulty=1,
    hints=(
        "For one state, one action and one next state the worth is R + gamma times the value of the next state.",
        "R + gamma * values has shape (S, A, S), since values lines up with the last axis. Weigh it by P, then sum.",
    ),
    wrong=(
        Wrong("gamma is missing: what comes later counts for less", lambda P, R, v, gamma: (P * R).sum(-1) + P @ v),
        Wrong(
            "gamma went around the reward as well; the reward of this step is paid now",
            lambda P, R, v, gamma: gamma * ((P * R).sum(-1) + P @ v),
        ),
        Wrong(
            "rewards were added up without their chances; each belongs to a next state that comes with probability P",
            lambda P, R, v, gamma: R.sum(-1) + gamma * P @ v,
        ),
        Wrong(
            "the best next state was taken; the world draws it, so take the mean under P",
            lambda P, R, v, gamma: np.where(P > 0, R + gamma * v, -np.inf).max(-1),
        ),
        Wrong(
            "the value of the state one leaves was used; gamma multiplies the value of the state one comes to",
            lambda P, R, v, gamma: (P * R).sum(-1) + gamma * v[:, None],
        ),
        Wrong(
            "P was read backward: the last axis is where one goes, the first where one is",
            lambda P, R, v, gamma: (P * R).sum(-1) + gamma * np.einsum("tas,t->sa", P, v),
        ),
        Wrong(
            "a maximum over actions makes it a value of states; Q keeps one number per action",
            lambda P, R, v, gamma: ((P * R).sum(-1) + gamma * P @ v).max(-1),
        ),
    ),
)
def q_from_v(answer, solution):
    values = np.array([10.0, -4.0, 2.0])
    yield differs(answer(P, R, values, 0.5), solution(P, R, values, 0.5), "on three states and two actions")
    one = P[:, :1], R[:, :1], values, 0.9
    yield differs(answer(*one), solution(*one), "with a single action")
    yield differs(answer(P, R, values, 0.0), solution(P, R, values, 0.0), "with gamma 0")


def _solve(P, paid, policy, gamma):
    to, r = np.einsum("sa,sat->st", policy, P), (policy * paid).sum(-1)
    return np.linalg.solve(np.eye(len(P)) - gamma * to, r)


@exercise(
    "rl.policy_evaluation",
    title="A policy's values by one call of solve",
    signature="policy_evaluation(P: (S, A, S), R: (S, A, S), policy: (S, A), gamma) -> (S,)",
    solution="llmrl.rl.planning.policy_evaluation",
    minutes=12,
    difficulty=2,
    hints=(
        "Average over actions first: P_pi[s, t] is the sum over a of policy[s, a] P[s, a, t], and r_pi[s] likewise.",
        "v = r_pi + gamma P_pi v is (I - gamma P_pi) v = r_pi. np.linalg.solve(matrix, right side) gives v.",
    ),
    wrong=(
        Wrong(
            "the matrix was transposed: row s of P_pi belongs to state s, and its entries to the states after it",
            lambda P, R, p, gamma: np.linalg.solve(
                np.eye(len(P)) - gamma * np.einsum("sa,sat->ts", p, P), (p * (P * R).sum(-1)).sum(-1)
            ),
        ),
        Wrong(
            "this is the mean reward of one step; the value goes on after it",
            lambda P, R, p, gamma: (p * (P * R).sum(-1)).sum(-1),
        ),
        Wrong(
            "the policy was not used: all actions counted alike",
            lambda P, R, p, gamma: _solve(P, (P * R).sum(-1), np.full_like(p, 1 / p.shape[1]), gamma),
        ),
        Wrong(
            "rewards were averaged over next states without their chances",
            lambda P, R, p, gamma: _solve(P, R.mean(-1), p, gamma),
        ),
        Wrong(
            "rewards were added up over next states without their chances; weigh each by P",
            lambda P, R, p, gamma: _solve(P, R.sum(-1), p, gamma),
        ),
        Wrong(
            "the first reward was discounted; gamma begins with the second step",
            lambda P, R, p, gamma: gamma * _solve(P, (P * R).sum(-1), p, gamma),
        ),
        Wrong(
            "the sign is wrong: bring gamma P_pi v to the left side, where it is subtracted",
            lambda P, R, p, gamma: _solve(P, (P * R).sum(-1), p, -gamma),
        ),
        Wrong(
            "the likeliest action was taken for the whole policy",
            lambda P, R, p, gamma: _solve(P, (P * R).sum(-1), np.eye(p.shape[1])[p.argmax(-1)], gamma),
        ),
    ),
)
def policy_evaluation(answer, solution):
    policy = np.array([[0.3, 0.7], [0.6, 0.4], [0.8, 0.2]])
    yield differs(answer(P, R, policy, 0.9), solution(P, R, policy, 0.9), "on three states and two actions")
    sure = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    yield differs(answer(P, R, sure, 0.5), solution(P, R, sure, 0.5), "under a policy that never hesitates")


@exercise(
    "rl.greedy",
    title="The greedy policy, ties shared",
    signature="greedy(q: (S, A), tolerance=1e-9) -> (S, A)",
    solution="llmrl.rl.planning.greedy",
    minutes=8,
    difficulty=1,
    hints=(
        "q.max(-1, keepdims=True) is the best of each state. Which entries come within tolerance of it?",
        "Count the True entries of each row, and give each of them one over that count.",
    ),
    wrong=(
        Wrong(
            "the first of several equal actions got everything; they share", lambda q: np.eye(q.shape[1])[q.argmax(-1)]
        ),
        Wrong(
            "values that differ in the last digit only were told apart; 0.1 + 0.2 is not 0.3 on a computer, so allow a "
            "tolerance",
            lambda q: (q == q.max(-1, keepdims=True)) / (q == q.max(-1, keepdims=True)).sum(-1, keepdims=True),
        ),
        Wrong(
            "equal actions got a chance of 1 each; the chances of a state sum to one",
            lambda q: (q >= q.max(-1, keepdims=True) - 1e-9).astype(float),
        ),
        Wrong(
            "softmax gives worse actions a chance, too",
            lambda q: (
                np.exp(q - q.max(-1, keepdims=True)) / np.exp(q - q.max(-1, keepdims=True)).sum(-1, keepdims=True)
            ),
        ),
        Wrong(
            "the best number of the whole table was looked for; each state has a best action of its own",
            lambda q: (q >= q.max() - 1e-9) / np.maximum((q >= q.max() - 1e-9).sum(-1, keepdims=True), 1),
        ),
        Wrong(
            "the worst actions were chosen",
            lambda q: (
                (q <= q.min(-1, keepdims=True) + 1e-9) / (q <= q.min(-1, keepdims=True) + 1e-9).sum(-1, keepdims=True)
            ),
        ),
        Wrong("the number of the best action came back; one row of chances per state is asked", lambda q: q.argmax(-1)),
    ),
)
def greedy(answer, solution):
    q = np.array([[1.0, 3.0, 2.0], [4.0, -1.0, 4.0], [-2.0, -2.0, -2.0]])
    yield differs(answer(q), solution(q), "on three states, with ties in two of them")
    nearly = np.array([[0.1 + 0.2, 0.3, 0.0], [1.0, 1.0, 0.0]])
    yield differs(answer(nearly), solution(nearly), "on 0.1 + 0.2, 0.3, 0 and 1, 1, 0")


def _iterate(P, R, gamma, stop, best=lambda q: q.max(-1)):
    paid, v, sweeps = (P * R).sum(-1), np.zeros(len(P)), 0
    while True:
        q = paid + gamma * P @ v
        change, v, sweeps = best(q) - v, best(q), sweeps + 1
        if stop(change, sweeps):
            q = paid + gamma * P @ v
            equal = q >= q.max(-1, keepdims=True) - 1e-9
            return v, equal / equal.sum(-1, keepdims=True)


@exercise(
    "rl.value_iteration",
    title="Value iteration that knows when to stop",
    signature="value_iteration(P: (S, A, S), R: (S, A, S), gamma, tolerance=1e-10) -> values (S,), policy (S, A)",
    solution="llmrl.rl.planning.value_iteration",
    minutes=15,
    difficulty=2,
    hints=(
        "Keep the old values, make all new ones as the maximum of q_from_v, and measure the largest |new - old|.",
        "The values are within tolerance once that change times gamma / (1 - gamma) is. Then greedy(q_from_v(...)).",
    ),
    wrong=(
        Wrong(
            "it stopped when a sweep changed little; the values may still be gamma / (1 - gamma) times that far away",
            lambda P, R, gamma, tolerance=1e-10: _iterate(P, R, gamma, lambda c, n: np.abs(c).max() <= tolerance),
        ),
        Wrong(
            "a fixed number of sweeps was made; how many are needed depends on gamma and on the tolerance",
            lambda P, R, gamma, tolerance=1e-10: _iterate(P, R, gamma, lambda c, n: n == 100),
        ),
        Wrong(
            "the change was taken with its sign; where values fall it is negative, and that is no reason to stop",
            lambda P, R, gamma, tolerance=1e-10: _iterate(
                P, R, gamma, lambda c, n: c.max() * gamma / (1 - gamma) <= tolerance
            ),
        ),
        Wrong(
            "the mean over actions was taken: these are the values of a policy that acts at random",
            lambda P, R, gamma, tolerance=1e-10: _iterate(
                P, R, gamma, lambda c, n: np.abs(c).max() * gamma / (1 - gamma) <= tolerance, lambda q: q.mean(-1)
            ),
        ),
        Wrong(
            "the mean change was watched; one state that still moves spoils its neighbours, so watch the largest",
            lambda P, R, gamma, tolerance=1e-10: _iterate(
                P, R, gamma, lambda c, n: np.abs(c).mean() * gamma / (1 - gamma) <= tolerance
            ),
        ),
        Wrong(
            "the policy came back as whole actions; a row of chances per state is asked, as greedy gives it",
            lambda P, R, gamma, tolerance=1e-10: (lambda found: (found[0], found[1].argmax(-1)))(
                _iterate(P, R, gamma, lambda c, n: np.abs(c).max() * gamma / (1 - gamma) <= tolerance)
            ),
        ),
    ),
)
def value_iteration(answer, solution):
    for paid, case in ((R, "on three states"), (-np.abs(R), "where every reward is a cost")):
        exact = solution(P, paid, 0.95, 1e-10)
        yield differs(answer(P, paid, 0.95, 1e-3), exact, f"{case}, gamma 0.95 and tolerance 0.001", tol=1e-3)
    # One state that pays 1 for ever beside many that pay nothing: the mean change is small long before the end.
    still, pays = np.tile(np.eye(40)[:, None], (1, 2, 1)), np.zeros((40, 2, 40))
    pays[0], pays[1:, 1] = 1.0, -1.0
    exact = solution(still, pays, 0.9, 1e-10)
    yield differs(answer(still, pays, 0.9, 1e-2), exact, "where one state of forty pays", tol=5e-3)
