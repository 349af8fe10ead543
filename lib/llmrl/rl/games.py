r"""Games in which the best policy has to be random.

Two players choose at the same time, and what one wins the other loses. In a fair game both have the same actions and
the payoffs change sign when the players change places. A strategy is a distribution over actions. Its exploitability
is what a player who knows it wins per round: 0 for an equilibrium, and in rock, paper, scissors 1 for every strategy
without dice. A simple learner finds the equilibrium by playing against itself: fictitious play answers the mean of the
past (Brown 1951), and it is this mean over time that arrives (Robinson 1951).
Left out: other learners, such as regret matching; games with sums other than zero, with turns, or with more than two
players.

Shapes: A actions.
"""

import numpy as np

from llmrl.rl.mdp import distribution

ROCK_PAPER_SCISSORS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])  # [mine, theirs]: what I win
ROCK_PAPER_SCISSORS.setflags(write=False)


def fair(payoffs):
    """Payoffs of a fair game as floats, or an error.  payoffs (A, A): [mine, theirs] is what I win"""
    payoffs = np.asarray(payoffs, dtype=float)
    if payoffs.ndim != 2 or payoffs.shape[0] != payoffs.shape[1] or not payoffs.size:
        raise ValueError(f"payoffs must be (A, A), what I win for my action and theirs, got {payoffs.shape}")
    if not np.allclose(payoffs, -payoffs.T, atol=1e-9):  # nan is not close to itself
        raise ValueError("payoffs of a fair game change sign when the players change places: payoffs == -payoffs.T")
    return payoffs


def exploitability(payoffs, strategy):
    r"""$\max_b\sum_a\pi(a)\,u(b,a)$: what the best reply to a strategy wins.  payoffs (A, A), strategy (A,)"""
    payoffs, strategy = fair(payoffs), distribution(strategy, "a strategy", "it")
    if strategy.shape != payoffs.shape[:1]:
        raise ValueError(f"a strategy needs one chance for each of {len(payoffs)} actions, got {strategy.shape}")
    return (payoffs @ strategy).max()


def fictitious_play(payoffs, first=0):
    """Answer the mean of all rounds so far with the best action, without end.  Yields that mean (A,), round by round"""
    payoffs = fair(payoffs)
    if first not in range(len(payoffs)):
        raise ValueError(f"the first action must be 0 to {len(payoffs) - 1}, got {first!r}")
    times = np.eye(len(payoffs))[first]
    while True:
        yield times / times.sum()
        times[(payoffs @ times).argmax()] += 1
