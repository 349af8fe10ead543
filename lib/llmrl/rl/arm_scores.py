r"""Scores for arms: seven answers to the question how to explore.

A rule of play is a score for every arm; the highest is pulled. Greedy scores an arm by the mean it has paid. The others
add something: epsilon-greedy sometimes scores by lot, an optimistic start promises what was not yet seen, UCB1 and
KL-UCB score by the highest mean that the data do not exclude, Thompson by one draw from what is believed about the
mean, Boltzmann by the mean plus noise, which makes it a draw from a softmax (the Gumbel trick). The makers below return
rules for `bandits.play`; ucb1, kl_ucb and beta_posterior are plain functions of counts and sums.
Left out: Bayes-optimal play (Gittins' index), Exp3 for opponents, rules that know the horizon.

Shapes: N seeds, A arms; pulls and sums (N, A), or (A,) for a single seed.
"""

import numpy as np

TINY = 1e-12  # keeps a mean of 0 or 1 out of the logarithm


def best_so_far(start=np.inf):
    """Greedy: the mean seen.  start: what an arm never seen is thought to pay; infinite, so each is tried once"""
    return lambda history, random: history.means(start)


def optimistic(start, weight=1.0):
    """Greedy that counts `weight` imagined rewards of `start` each into every arm's mean."""
    if not weight > 0:
        raise ValueError(f"an optimistic start needs a weight above zero, got {weight}: 1 counts like one real reward")
    return lambda history, random: (history.sums + weight * start) / (history.pulls + weight)


def epsilon_greedy(epsilon):
    """With chance epsilon any arm, by lot; else the best mean.  epsilon: a number, or a function of t"""

    def rule(history, random):
        chance = epsilon(history.t) if callable(epsilon) else epsilon
        if not 0 <= chance <= 1:
            raise ValueError(f"epsilon is a chance between 0 and 1, got {chance} at step {history.t}: see epsilon_at")
        blind = random.random(len(history.pulls)) < chance
        return np.where(blind[:, None], 0.0, history.means())  # equal scores: the lot decides

    return rule


def epsilon_at(t, arms, gap, c):
    r"""$\epsilon_t=\min(1,\frac{cA}{\Delta^2t})$, the decay of Auer, Cesa-Bianchi and Fischer (2002).  t from 1"""
    if np.any(np.asarray(t) < 1) or arms < 2 or not 0 < gap <= 1 or not c > 0:
        rule = "t counts from 1, arms are 2 or more, gap is above 0 and at most 1, c is above 0"
        raise ValueError(f"{rule}; got t={t}, arms={arms}, gap={gap}, c={c}: gap is the least difference that matters")
    return np.minimum(1.0, c * arms / (gap**2 * t))


def ucb1(pulls, sums, t, width=2.0):
    r"""$\hat\mu_a+\sqrt{w\ln t/n_a}$, infinite where nothing was seen; w = 2 as in Auer et al. (2002)."""
    _counted(pulls, t)
    n = np.maximum(pulls, 1)
    return np.where(pulls > 0, sums / n + np.sqrt(width * np.log(t) / n), np.inf)


def kl_ucb(pulls, sums, t, steps=5):
    r"""$\max\{q:n_a\,\mathrm{kl}(\hat\mu_a,q)\le\ln t\}$ by Newton's method, infinite where nothing was seen.

    Rewards lie in [0, 1]; Garivier and Cappé 2011 (arXiv:1102.2490) with their practical c = 0. kl is convex in q, so
    that steps from above the answer stay above it. Two bounds start close to it: Pinsker's, kl >= 2 (q - p)^2, and, for
    q near 1, what is left of kl without the term p ln(1/q).
    """
    _counted(pulls, t)
    n = np.maximum(pulls, 1)
    p, allowed = np.clip(sums / n, TINY, 1 - TINY), np.log(t) / n
    room = allowed - p * np.log(p) - (1 - p) * np.log(1 - p)  # what the part of kl that depends on q may use up
    q = np.minimum(p + np.sqrt(allowed / 2), 1 - np.exp(-room / (1 - p)))
    for _ in range(steps):
        q = np.clip(q, p, 1 - TINY)
        over = -p * np.log(q) - (1 - p) * np.log(1 - q) - room
        q = q - over * q * (1 - q) / np.maximum(q - p, TINY)
    return np.where(pulls > 0, np.clip(q, p, 1.0), np.inf)


def with_pending(pulls, sums, chosen):
    """Pulls whose reward is on its way counted in, each mean left as seen.  -> (counts, sums), alike

    chosen: all pulls made. An arm of which no reward is known yet stays at 0, and so at the top of any upper bound.
    """
    counts = np.where(pulls > 0, chosen, 0)
    return counts, sums / np.maximum(pulls, 1) * counts


def upper(index, count_pending=False):
    """The rule that scores by an upper bound index(pulls, sums, t), such as ucb1.

    count_pending: an arm's mean comes from rewards seen, but its pulls include those whose reward is on its way.
    """

    def rule(history, random):
        if count_pending:
            return index(*with_pending(history.pulls, history.sums, history.chosen), history.t)
        return index(history.pulls, history.sums, history.t)

    return rule


def beta_posterior(pulls, sums):
    r"""Belief about a mean after 0/1 rewards, all means equally likely before: Beta(1 + successes, 1 + failures)."""
    _counted(pulls, 1)
    if np.any(sums < 0) or np.any(sums > pulls):
        raise ValueError(f"successes are between 0 and the number of pulls, got {sums} of {pulls}: rewards are 0 or 1")
    return 1.0 + sums, 1.0 + pulls - sums


def thompson(sd=None):
    """One draw from the belief about each mean: Beta for 0/1 rewards, Gaussian (flat before) for a known sd."""

    def rule(history, random):
        if sd is None:
            return random.beta(*beta_posterior(history.pulls, history.sums))
        return random.normal(history.means(), sd / np.sqrt(np.maximum(history.pulls, 1)))

    return rule


def boltzmann(temperature):
    r"""Arms with chances $\propto e^{\hat\mu_a/\tau}$: the highest mean + τ · Gumbel noise.  τ: a number, or f(t)"""

    def rule(history, random):
        tau = temperature(history.t) if callable(temperature) else temperature
        if not tau > 0:
            raise ValueError(f"a temperature must be above zero, got {tau} at step {history.t}: near zero is greedy")
        return history.means() + tau * random.gumbel(size=history.pulls.shape)

    return rule


def _counted(pulls, t):
    if np.any(np.asarray(pulls) < 0) or t < 1:
        raise ValueError(f"pulls are counts of zero or more and t counts from 1, got pulls={pulls} and t={t}")
