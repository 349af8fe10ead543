"""Exercises on PPO in practice: two of its details, and two of its dials.

Each checker has dead steps in it, because that is where people go wrong who get the formula right.
Left out: the loop around them, which is shown.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs

LIVE = torch.tensor([[True, True, True, True, False], [True, True, False, True, True]])
ADV = torch.tensor([[1.0, -2.0, 4.0, 5.0, 90.0], [3.0, 0.5, -70.0, -1.0, 2.5]])


def _normal(adv, live, count=lambda n: n - 1, power=0.5, whole=False):
    """Row by row over what is live, with the places where people go wrong as arguments."""
    out, rows = (
        torch.zeros_like(adv),
        [live] if whole else [live & (torch.arange(len(adv)) == k)[:, None] for k in range(len(adv))],
    )
    for row in rows:
        kept = adv[row]
        spread = (kept - kept.mean()).square().sum() / count(len(kept))
        spread = spread if len(kept) > 1 else torch.zeros(())
        here = row.any(1, keepdim=True)
        out = torch.where(here, (adv - kept.mean()) / (spread**power + 1e-8), out)
    return out


def _zeroed(adv, live):
    """Dead steps counted as zeros."""
    kept = torch.where(live, adv, 0.0)
    return (adv - kept.mean(-1, keepdim=True)) / (kept.std(-1, keepdim=True) + 1e-8)


@exercise(
    "policy.normalised",
    title="Advantages of mean 0 and deviation 1",
    signature="normalised(adv: (K, B), live: (K, B) bool) -> (K, B)",
    solution="llmrl.policy.ppo.normalised",
    minutes=12,
    difficulty=2,
    hints=(
        "masked_mean(adv, live, -1)[:, None] is each learner's mean over its live steps. Subtract it everywhere.",
        "The sample variance is the mean of the squares times n / (n - 1), n = live.sum(-1, keepdim=True); keep n - 1 "
        "at 1 or more with .clamp(min=1). Divide by its root plus 1e-8.",
    ),
    wrong=(
        Wrong(
            "dead steps went into the mean and the deviation; only what is live was played",
            lambda a, live: (a - a.mean(-1, keepdim=True)) / (a.std(-1, keepdim=True) + 1e-8),
        ),
        Wrong("dead steps were counted as zeros; they do not count at all", _zeroed),
        Wrong(
            "mean and deviation are each learner's own; these are of all learners together",
            lambda a, live: _normal(a, live, whole=True),
        ),
        Wrong(
            "this divides by n; the sample deviation has n - 1 below, as torch's std and stable-baselines3 do",
            lambda a, live: _normal(a, live, count=lambda n: n),
        ),
        Wrong("that is the variance; the deviation is its root", lambda a, live: _normal(a, live, power=1.0)),
        Wrong(
            "the mean was not taken off: then everything is pushed up when all went well",
            lambda a, live: (
                torch.where(live, a, 0.0)
                / (_normal(a, live) * 0 + torch.stack([r[m].std() for r, m in zip(a, live)])[:, None])
            ),
        ),
        Wrong(
            "only the mean was taken off; divide by the deviation as well",
            lambda a, live: a - torch.stack([r[m].mean() for r, m in zip(a, live)])[:, None],
        ),
    ),
)
def normalised(answer, solution):
    whole = torch.ones_like(LIVE)
    yield differs(answer(ADV, whole), solution(ADV, whole), "on two learners, all steps live")
    yield differs(answer(ADV, LIVE), solution(ADV, LIVE), "with a dead step in each row")
    alike, live = torch.full((1, 3), 7.0), torch.ones(1, 3, dtype=torch.bool)
    yield differs(answer(alike, live), solution(alike, live), "on three advantages that are all alike")
    yield differs(answer(alike[:, :1], live[:, :1]), solution(alike[:, :1], live[:, :1]), "on a single step")


VALUES, OLD, RET = (
    torch.tensor(x) for x in ([1.0, 3.0, 0.5, 2.0, -1.0], [1.1, 1.0, 2.0, 1.9, 0.0], [2.0, 5.0, 4.0, 1.0, -3.0])
)


@exercise(
    "policy.value_loss",
    title="The critic's error, clipped or not",
    signature="value_loss(values: (B,), old_values: (B,), ret: (B,), nearest=None) -> (B,)",
    solution="llmrl.policy.ppo.value_loss",
    minutes=8,
    difficulty=1,
    hints=(
        "nearest=None: the squared error. Otherwise a second squared error, of old_values plus a clamped change.",
        "kept = old_values + (values - old_values).clamp(-nearest, nearest); the loss is the larger of the two errors.",
    ),
    wrong=(
        Wrong(
            "the smaller of the two errors was taken; the larger one counts, as the surrogate takes the worse case",
            lambda v, o, r, n=None: torch.minimum(_square(v, r), _square(_kept(v, o, n), r)),
        ),
        Wrong(
            "the clipped value alone; where it stands nearer to the return the plain error still counts",
            lambda v, o, r, n=None: _square(_kept(v, o, n), r),
        ),
        Wrong(
            "the old value was kept near the new one; it is the new one that is kept near the old",
            lambda v, o, r, n=None: torch.maximum(_square(v, r), _square(v if n is None else _kept(o, v, n), r)),
        ),
        Wrong(
            "the value itself was clamped to [-nearest, nearest]; its change is",
            lambda v, o, r, n=None: (
                _square(v, r) if n is None else torch.maximum(_square(v, r), _square(v.clamp(-n, n), r))
            ),
        ),
        Wrong("the clip is missing", lambda v, o, r, n=None: _square(v, r)),
        Wrong(
            "one number per item is asked; the caller takes the mean",
            lambda v, o, r, n=None: torch.maximum(_square(v, r), _square(_kept(v, o, n), r)).mean(),
        ),
        Wrong(
            "the error has to be squared",
            lambda v, o, r, n=None: torch.maximum((v - r).abs(), (_kept(v, o, n) - r).abs()),
        ),
    ),
)
def value_loss(answer, solution):
    yield differs(answer(VALUES, OLD, RET), solution(VALUES, OLD, RET), "with no clip, on five values")
    for nearest in (0.2, 1.0):
        case = VALUES, OLD, RET, nearest
        yield differs(answer(*case), solution(*case), f"kept within {nearest} of the old values")


def _kept(values, old, nearest):
    return values if nearest is None else old + (values - old).clamp(-nearest, nearest)


def _square(values, ret):
    return (values - ret).square()


LOGP = torch.tensor([[-0.2, -1.5, -0.7, -3.0, -0.1], [-0.9, -0.3, -2.0, -0.6, -1.0]])
OLD_LOGP = torch.tensor([[-0.5, -0.8, -0.9, -1.2, -4.0], [-0.4, -0.7, -0.1, -1.3, -1.0]])


def _mean(x, live):
    return torch.where(live, x, 0.0).sum(-1) / live.sum(-1)


def _moved(logp, old, live, k1=lambda d: -d, k3=lambda d: d.exp() - 1 - d, mean=_mean):
    d = logp - old
    return mean(k1(d), live), mean(k3(d), live)


@exercise(
    "policy.moved",
    title="How far the policy has moved, estimated twice",
    signature="moved(logp: (K, B), old_logp: (K, B), live: (K, B) bool) -> k1 (K,), k3 (K,)",
    solution="llmrl.policy.dials.moved",
    minutes=10,
    difficulty=2,
    hints=(
        "The actions come from the old policy, so it is KL(old || new). With d = logp - old_logp the ratio is exp(d).",
        "k1 is the mean of -d, k3 the mean of exp(d) - 1 - d, both over live steps: masked_mean(x, live, -1).",
    ),
    wrong=(
        Wrong(
            "k1 has its sign turned: the old policy acted, so it stands in front, old_logp - logp",
            lambda *case: _moved(*case, k1=lambda d: d),
        ),
        Wrong(
            "this k3 weighs with old / new; actions of the old policy need the ratio new / old",
            lambda *case: _moved(*case, k3=lambda d: (-d).exp() - 1 + d),
        ),
        Wrong(
            "the ratio itself has a mean of 1 however far the policy moves; subtract 1 and its logarithm",
            lambda *case: _moved(*case, k3=lambda d: d.exp()),
        ),
        Wrong(
            "the logarithm has the wrong sign in k3: ratio - 1 - log ratio is never negative",
            lambda *case: _moved(*case, k3=lambda d: d.exp() - 1 + d),
        ),
        Wrong(
            "that is k2, half the squared logarithm: near k3 for small moves, and biased for large ones",
            lambda *case: _moved(*case, k3=lambda d: d.square() / 2),
        ),
        Wrong(
            "dead steps were counted; nobody acted in them",
            lambda *case: _moved(*case, mean=lambda x, live: x.mean(-1)),
        ),
        Wrong(
            "dead steps were left out of the sum but not of the count",
            lambda *case: _moved(*case, mean=lambda x, live: torch.where(live, x, 0.0).mean(-1)),
        ),
        Wrong(
            "one number per learner is asked, not one for all",
            lambda *case: tuple(x.mean() for x in _moved(*case)),
        ),
        Wrong("k3 comes second", lambda *case: _moved(*case)[::-1]),
    ),
)
def moved(answer, solution):
    whole = torch.ones_like(LIVE)
    yield differs(answer(LOGP, OLD_LOGP, whole), solution(LOGP, OLD_LOGP, whole), "on two learners of five steps")
    yield differs(answer(LOGP, OLD_LOGP, LIVE), solution(LOGP, OLD_LOGP, LIVE), "with a dead step in each row")
    yield differs(answer(LOGP, LOGP, LIVE), solution(LOGP, LOGP, LIVE), "on a policy that has not moved")


FORESEEN = torch.tensor([[1.0, 2.5, 2.0, 4.0, -50.0], [3.0, 1.0, 40.0, 2.0, 0.0]])
CAME = torch.tensor([[2.0, 3.0, 1.0, 6.0, 9.0], [1.0, 2.0, 0.0, 4.0, 3.0]])


def _explained(values, ret, live, below=lambda v, r: r, above=lambda v, r: r - v, centred=True):
    """A row at a time, with the places where people go wrong as arguments."""
    out = []
    for v, r, m in zip(values, ret, live):
        error, whole = above(v[m], r[m]), below(v[m], r[m])
        rest = error.var(correction=0) if centred else error.square().mean()
        spread = whole.var(correction=0)
        out.append(1 - rest / spread if spread > 0 else torch.tensor(torch.nan))
    return torch.stack(out)


@exercise(
    "policy.explained_variance",
    title="How much the critic foresaw",
    signature="explained_variance(values: (K, M), ret: (K, M), live: (K, M) bool) -> (K,)",
    solution="llmrl.policy.dials.explained_variance",
    minutes=10,
    difficulty=2,
    hints=(
        "One minus the variance of ret - values over the variance of ret, for each learner over its live steps.",
        "The variance of x: its mean with masked_mean(x, live, -1)[..., None], then the masked mean of the squared "
        "distances. torch.where(spread > 0, ..., torch.nan) where the returns are all alike.",
    ),
    wrong=(
        Wrong(
            "dead steps were counted",
            lambda v, r, live: _explained(v, r, torch.ones_like(live)),
        ),
        Wrong(
            "the mean squared error was taken; a constant error is no variance and is forgiven",
            lambda v, r, live: _explained(v, r, live, centred=False),
        ),
        Wrong(
            "the variance of the values stands below; how much there was to foresee is the variance of the returns",
            lambda v, r, live: _explained(v, r, live, below=lambda v, r: v),
        ),
        Wrong(
            "that is the share of variance the critic shows, right or wrong; the variance of ret - values is asked",
            lambda v, r, live: 1 - _explained(v, r, live, above=lambda v, r: v),
        ),
        Wrong(
            "that is the share not explained; 1 minus it is asked",
            lambda v, r, live: 1 - _explained(v, r, live),
        ),
        Wrong(
            "where all returns are alike there is nothing to foresee: nan, not a number",
            lambda v, r, live: _explained(v, r, live).nan_to_num(-torch.inf),
        ),
        Wrong(
            "one number per learner is asked; this mixes them",
            lambda v, r, live: _explained(v[live][None], r[live][None], live[live][None]).expand(len(v)),
        ),
    ),
)
def explained_variance(answer, solution):
    whole = torch.ones_like(LIVE)
    yield differs(answer(FORESEEN, CAME, whole), solution(FORESEEN, CAME, whole), "on two learners of five steps")
    yield differs(answer(FORESEEN, CAME, LIVE), solution(FORESEEN, CAME, LIVE), "with a dead step in each row")
    yield differs(
        answer(FORESEEN, 2 + 0 * CAME, LIVE), solution(FORESEEN, 2 + 0 * CAME, LIVE), "where all returns are 2"
    )
