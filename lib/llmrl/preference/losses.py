r"""Losses on answers that were compared or judged, as functions of log-probabilities alone.

Bradley-Terry says that the better of two answers wins with probability $\sigma(\text{margin})$. A reward model's margin
is a difference of scores; DPO's is a difference of implicit rewards, SimPO's of mean log-probabilities, ORPO's of log
odds: one loss on a margin serves them all. IPO puts a square in its place, RRHF a hinge, and KTO needs no pairs.
Every function returns one value per pair, per answer (KTO) or per prompt (RRHF), and refuses log-probabilities that
are not finite. Left out: losses that need a score for every answer, beyond RRHF's ranks.

Shapes: B pairs, answers or prompts, K ranked answers to a prompt. A logp is summed over the tokens of an answer, a
length is their number.
"""

import torch
import torch.nn.functional as F

NEAR_ONE = 1e-6  # a log-probability above -NEAR_ONE counts as -NEAR_ONE: the odds of a certain answer are infinite
COUNTS = {1: "it", 2: "both", 4: "all four"}


def preference_loss(margin, flip=0.0):
    r"""$-(1-\epsilon)\log\sigma(m)-\epsilon\log\sigma(-m)$: Bradley-Terry with flip rate $\epsilon$.  margin (B,)"""
    if not 0 <= flip < 0.5:
        raise ValueError(
            f"flip must be in [0, 0.5), got {flip}: at one half a label says nothing, above it says the opposite"
        )
    return -(1 - flip) * F.logsigmoid(margin) - flip * F.logsigmoid(-margin)


def implicit_reward(logp, ref_logp, beta):
    r"""$\beta\log\frac{\pi(y\mid x)}{\pi_{ref}(y\mid x)}$, the reward DPO never trains.  (B,)"""
    _above_zero("beta", beta, "it is the price of moving away from the reference, 0.1 is usual")
    return beta * (logp - ref_logp)


def reward_margin(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta):
    r"""$\hat r_w-\hat r_l$, the difference of implicit rewards.  four of (B,) -> (B,)"""
    _alike(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp)
    return implicit_reward(chosen_logp, ref_chosen_logp, beta) - implicit_reward(rejected_logp, ref_rejected_logp, beta)


def dpo(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta):
    r"""$-\log\sigma(\hat r_w-\hat r_l)$ (Rafailov et al. 2023, arXiv:2305.18290).  four of (B,) -> (B,)"""
    return preference_loss(reward_margin(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta))


def cdpo(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta, flip):
    r"""DPO that expects a share of flipped labels: $(1-\epsilon)\,\ell(m)+\epsilon\,\ell(-m)$ (Mitchell 2023)."""
    return preference_loss(reward_margin(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta), flip)


def robust_dpo(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta, flip):
    r"""$\frac{(1-\epsilon)\,\ell(m)-\epsilon\,\ell(-m)}{1-2\epsilon}$, whose mean over flips is the clean DPO loss
    (Chowdhury et al. 2024, arXiv:2403.00409).  It may be negative.  four of (B,) -> (B,)"""
    margin = reward_margin(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta)
    other = preference_loss(-margin)
    mixed = preference_loss(margin, flip)  # (1 - flip) l(m) + flip l(-m), and refuses a flip of one half
    return (mixed - 2 * flip * other) / (1 - 2 * flip)


def ipo(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, tau):
    r"""$\big(h-\frac{1}{2\tau}\big)^2$ with $h=\log\frac{\pi(y_w)}{\pi_{ref}(y_w)}-\log\frac{\pi(y_l)}{\pi_{ref}(y_l)}$
    (Azar et al. 2023, arXiv:2310.12036, equation 17).  four of (B,) -> (B,)"""
    _above_zero("tau", tau, "1 / (2 tau) is the margin that IPO asks for, and tau = 0 would ask for an infinite one")
    return (reward_margin(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, 1.0) - 1 / (2 * tau)).square()


def simpo(chosen_logp, rejected_logp, chosen_length, rejected_length, beta=2.0, gamma=1.0):
    r"""$-\log\sigma\big(\frac{\beta}{|y_w|}\log\pi(y_w)-\frac{\beta}{|y_l|}\log\pi(y_l)-\gamma\big)$: no reference
    (Meng, Xia and Chen 2024, arXiv:2405.14734).  four of (B,) -> (B,)"""
    _above_zero("beta", beta, "it scales the mean log-probability of a token, 2 to 10 are usual")
    chosen, rejected = mean_logp(chosen_logp, chosen_length), mean_logp(rejected_logp, rejected_length)
    _alike(chosen, rejected)
    return preference_loss(beta * (chosen - rejected) - gamma)


def orpo(chosen_logp, rejected_logp, chosen_length, rejected_length, lam=0.1):
    r"""$-\log P(y_w)-\lambda\log\sigma\big(\log\mathrm{odds}(y_w)-\log\mathrm{odds}(y_l)\big)$ with $\log P$ the mean
    over tokens (Hong, Lee and Thorne 2024, arXiv:2403.07691).  four of (B,) -> (B,)"""
    if not lam >= 0:
        raise ValueError(f"lam must be at least 0, got {lam}: it weighs the odds ratio beside the likelihood")
    chosen, rejected = mean_logp(chosen_logp, chosen_length), mean_logp(rejected_logp, rejected_length)
    _alike(chosen, rejected)
    return -chosen + lam * preference_loss(log_odds(chosen) - log_odds(rejected))


def kto(logp, ref_logp, desirable, kl, beta=0.1, weights=(1.0, 1.0)):
    r"""$\lambda_D\big(1-\sigma(\beta(r-z_0))\big)$ for a good answer, $\lambda_U\big(1-\sigma(\beta(z_0-r))\big)$ for a
    bad one, $r=\log\frac{\pi(y)}{\pi_{ref}(y)}$ (Ethayarajh et al. 2024, arXiv:2402.01306).  No pairs.

    logp, ref_logp (B,), desirable (B,) bool, kl the reference point $z_0$, weights $(\lambda_D,\lambda_U)$ -> (B,)
    """
    _alike(logp, ref_logp)
    if desirable.dtype != torch.bool or desirable.shape != logp.shape:
        raise ValueError(
            f"desirable must be bool of shape {tuple(logp.shape)}, got {desirable.dtype} of shape "
            f"{tuple(desirable.shape)}: True for a good answer, one for every answer"
        )
    if not (0 <= float(kl) < float("inf") and min(weights) >= 0):
        raise ValueError(
            f"kl must be one number of at least 0 and the weights as well, got {kl} and {weights}: "
            f"reference_point(logp, ref_logp) of mismatched answers gives the kl"
        )
    above = implicit_reward(logp, ref_logp, beta) - beta * kl  # what the answer gains beyond the reference point
    return torch.where(desirable, weights[0] * (-above).sigmoid(), weights[1] * above.sigmoid())


def reference_point(logp, ref_logp):
    r"""KTO's $z_0=\max\big(0,\mathrm{mean}\log\frac{\pi(y')}{\pi_{ref}(y')}\big)$, over answers $y'$ that belong to
    other prompts of the batch: a crude KL, through which no gradient flows.  two of (B,) -> ()"""
    _alike(logp, ref_logp)
    if not logp.numel():
        raise ValueError("a reference point is a mean over one answer or more, got none: pass the mismatched answers")
    return (logp - ref_logp).detach().mean().clamp(min=0)


def rrhf(logp, length, reward, weight=1.0):
    r"""$w\sum_{r_i<r_j}\max(0,p_i-p_j)-\log\pi(y_{best})$ with $p=\frac{1}{|y|}\log\pi(y)$: the better answer should be
    the likelier one, and the best is learned (Yuan et al. 2023, arXiv:2304.05302).  three of (B, K) -> (B,)"""
    p = mean_logp(logp, length)
    if p.dim() != 2 or reward.shape != p.shape or p.shape[1] < 2:
        raise ValueError(
            f"logp, length and reward must be (B, K) with K of at least 2, got {tuple(p.shape)} and reward "
            f"{tuple(reward.shape)}: one row per prompt, a single answer has no rank"
        )
    worse = reward[:, :, None] < reward[:, None, :]  # (B, K, K): i is worse than j
    wrong = (p[:, :, None] - p[:, None, :]).clamp(min=0)  # and by how much it is likelier
    best = logp.gather(1, reward.argmax(1, keepdim=True)).squeeze(1)  # (B,)
    return weight * torch.where(worse, wrong, 0.0).sum((1, 2)) - best


def mean_logp(logp, length):
    """The log-probability of an answer per token.  logp, length of one shape"""
    if logp.shape != length.shape:
        raise ValueError(f"every answer needs its length, got {tuple(logp.shape)} and {tuple(length.shape)}")
    _finite(logp)
    if not (length >= 1).all():
        raise ValueError(f"an answer has one token or more, got a length of {length.min().item()}: leave it out")
    return logp / length


def log_odds(logp):
    r"""$\log\frac{P}{1-P}$ from $\log P$; a log-probability of 0 counts as slightly less, so that it stays finite."""
    logp = logp.clamp(max=-NEAR_ONE)
    return logp - (-logp.expm1()).log()


def _above_zero(name, value, why):
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value}: {why}")


def _finite(*logps):
    for logp in logps:
        if not logp.isfinite().all():
            at = tuple((~logp.isfinite()).nonzero()[0].tolist())
            raise ValueError(
                f"log-probabilities must be finite, got {logp[at].item()} at {list(at)}: look for an answer without "
                f"tokens, for padding that was not masked, or for weights that have become nan"
            )


def _alike(*logps):
    shapes = [tuple(x.shape) for x in logps]
    if len(set(shapes)) > 1 or len(shapes[0]) > 1:
        raise ValueError(
            f"{COUNTS[len(shapes)]} must be (B,), log-probabilities of whole answers, got {shapes}: sum an answer's "
            f"tokens; a (B, 1) beside a (B,) would compare every answer with every other"
        )
    _finite(*logps)
