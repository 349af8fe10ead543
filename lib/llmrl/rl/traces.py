r"""The backward view of TD(lambda): eligibility traces.

Instead of waiting for the future, each TD error is sent back to the states that led to it. A trace per state says how
much it is still responsible: it fades by gamma lambda with every step, and a visit renews it. How a visit renews it
is one number, the share of the old trace that is kept: 1 accumulates, 0 replaces (Singh and Sutton 1996), 1 - alpha is
the "dutch" trace with which updates made on the way equal the forward view exactly (van Seijen and Sutton 2014, in the
form of van Seijen et al. 2016, arXiv:1512.04087).
Left out: traces on features of states; traces under another policy's actions.

Shapes: T steps, N players, S states, K step sizes.
"""

import numpy as np

from llmrl.rl.td import per_entry, refuse_tables, td_error


def trace_step(trace, states, decay, keep=1.0):
    """All traces fade by decay = gamma lambda; the visited state's becomes keep times what is left, plus 1.

    trace (N, S) or (N, S, K), states (N,) whole, keep a number or (K,) -> a new trace
    """
    rows = np.arange(len(trace))
    trace = decay * trace
    trace[rows, states] = keep * trace[rows, states] + 1
    return trace


def walk(episodes, values):
    """Step after step: players still playing (n,), their states and next states, reward and terminated as columns."""
    for t, live in enumerate(episodes.live):
        on = np.flatnonzero(live)
        paid, over = per_entry(episodes.rewards[t, on], values), per_entry(episodes.terminated[t, on], values)
        yield on, episodes.states[t, on], episodes.states[t + 1, on], paid, over


def offline_td(episodes, values, alpha, gamma, lam):
    r"""All changes $\alpha\,\delta_t\,e_t$ are added up and made after the episode.  values (N, S[, K]) -> new"""
    _refuse(episodes, values, alpha, gamma, lam)
    moved, trace = values.copy(), np.zeros_like(values)
    for on, here, there, paid, over in walk(episodes, values):
        delta = td_error(values[on, here], paid, values[on, there], over, gamma)
        trace[on] = trace_step(trace[on], here, gamma * lam)
        moved[on] += alpha * delta[:, None] * trace[on]
    return moved


def td_lambda(episodes, values, alpha, gamma, lam, keep=1.0):
    r"""$V\leftarrow V+\alpha\,\delta_t\,e_t$ after every step.  values (N, S) or (N, S, K), alpha one or (K,) -> new

    keep: what a visit keeps of the old trace, 1 accumulates, 0 replaces.
    """
    _refuse(episodes, values, alpha, gamma, lam)
    values, trace = values.copy(), np.zeros_like(values)
    for on, here, there, paid, over in walk(episodes, values):
        delta = td_error(values[on, here], paid, values[on, there], over, gamma)
        trace[on] = trace_step(trace[on], here, gamma * lam, keep)
        values[on] += alpha * delta[:, None] * trace[on]
    return values


def true_online_td(episodes, values, alpha, gamma, lam):
    """TD(lambda) that equals the forward view after every step: a dutch trace, and a correction for the guess's change.

    held is the value the present state was given by the last step's target; V(s) may have moved since.
    """
    _refuse(episodes, values, alpha, gamma, lam)
    values, trace = values.copy(), np.zeros_like(values)
    held = values[np.arange(len(values)), episodes.states[0]]
    for on, here, there, paid, over in walk(episodes, values):
        value, following = values[on, here], values[on, there]
        delta = td_error(value, paid, following, over, gamma)
        trace[on] = trace_step(trace[on], here, gamma * lam, 1 - alpha)
        values[on] += alpha * (delta + value - held[on])[:, None] * trace[on]
        values[on, here] -= alpha * (value - held[on])
        held[on] = following
    return values


def _refuse(episodes, values, alpha, gamma, lam):
    refuse_tables(episodes, values, alpha)
    for name, number in (("gamma", gamma), ("lambda", lam)):
        if not 0 <= number <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {number}: a trace that grows never forgets")
