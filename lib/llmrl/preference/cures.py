r"""Losses that keep the chosen answer likely while the margin grows.

DPO asks for a difference of log-ratios, and a difference can grow while both fall. RPO adds what supervised tuning
would do, DPOP makes a fall of the chosen answer expensive, and the length-normalised form compares log-ratios per
token. The first two are DPO where their own term vanishes, the third where every answer is one token. Left out:
filtering the pairs themselves (Razin et al. 2024, arXiv:2410.08847), which needs no other loss.

Shapes: B pairs. A logp is summed over the tokens of an answer, a length is their number.
"""

from llmrl.preference.losses import dpo, mean_logp, preference_loss, reward_margin


def rpo(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, chosen_length, beta, alpha=1.0):
    r"""$\ell_{DPO}-\frac{\alpha}{|y_w|}\log\pi(y_w)$ (Pang et al. 2024, arXiv:2404.19733).  five of (B,) -> (B,)"""
    _weight("alpha", alpha, "it weighs the likelihood of the chosen answer beside DPO")
    loss = dpo(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta)
    return loss - alpha * mean_logp(chosen_logp, chosen_length)


def dpop(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta, lam=5.0):
    r"""$-\log\sigma\big(\hat r_w-\hat r_l-\beta\lambda\max(0,\log\frac{\pi_{ref}(y_w)}{\pi(y_w)})\big)$
    (Pal et al. 2024, arXiv:2402.13228).  four of (B,) -> (B,)"""
    _weight("lam", lam, "it is the price of every nat that the chosen answer falls below the reference")
    margin = reward_margin(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta)
    return preference_loss(margin - beta * lam * (ref_chosen_logp - chosen_logp).clamp(min=0))


def per_token(chosen_ratio, rejected_ratio, chosen_length, rejected_length, beta):
    r"""$-\log\sigma\big(\frac{\beta}{|y_w|}\log\frac{\pi(y_w)}{\pi_{ref}(y_w)}-\frac{\beta}{|y_l|}\log\frac{\pi(y_l)}
    {\pi_{ref}(y_l)}\big)$ (Lambert et al. 2024, arXiv:2411.15124), a ratio being logp - ref_logp.  four of (B,) -> (B,)
    """
    zero = chosen_ratio.new_zeros(chosen_ratio.shape)
    chosen, rejected = mean_logp(chosen_ratio, chosen_length), mean_logp(rejected_ratio, rejected_length)
    return dpo(chosen, rejected, zero, zero, beta)


def _weight(name, value, why):
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value}: {why}")
