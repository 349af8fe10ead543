r"""Writing an answer as a Markov decision process, one row per token.

The state is everything written so far, the action is the next token, and the world adds nothing of its own: the next
state is the state with the action behind it. An episode ends with the token that closes the answer, or by running out
of room, and only its last action is paid. The chance of an episode is therefore the product of its actions' chances.
Left out: worlds that answer back, such as a tool or a second speaker.
"""

from typing import NamedTuple

from llmrl.rl.returns import returns


class Move(NamedTuple):
    """One row: the ids so far, the id that was chosen, what it earned, and whether the episode ended with it."""

    state: tuple
    action: int
    reward: float
    terminated: bool  # the answer was closed
    truncated: bool  # or there was no room left


def episode(prompt, answer, score, end):
    """The moves behind an answer, the score paid for the last.  prompt, answer: ids; end: the id that closes answers"""
    if not len(prompt) or not len(answer):
        raise ValueError(
            f"an episode starts from a prompt of one token or more and takes one action or more, got {len(prompt)} and "
            f"{len(answer)} tokens: an answer without tokens was never begun"
        )
    if end in answer[:-1]:
        raise ValueError(f"the end token {end} closes the answer, and stands at {answer.index(end)} of {len(answer)}")
    moves = []
    for t, action in enumerate(answer):
        last = t == len(answer) - 1
        state, reward = (*prompt, *answer[:t]), float(score) if last else 0.0
        moves.append(Move(state, action, reward, last and action == end, last and action != end))
    return moves


def to_go(moves, gamma=1.0):
    """What each state still earns: the discounted return from it.  -> (T,)"""
    import torch

    rewards = torch.tensor([move.reward for move in moves], dtype=torch.float64)
    done = torch.tensor([float(move.terminated or move.truncated) for move in moves], dtype=torch.float64)
    return returns(rewards, done, gamma)
