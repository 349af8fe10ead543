r"""How far a policy has moved from its reference: $\mathrm{KL}(\pi\,\|\,\pi_{ref})$, exactly and from samples.

With $\log r=\log\pi_{ref}-\log\pi$ on tokens drawn from $\pi$: k1 is unbiased and noisy, k2 is biased and smooth, k3 is
unbiased and never negative (Schulman 2020, "Approximating KL divergence"). They estimate a number; what each does as a
loss is another question (`kl_gradients`). Left out: estimates from tokens drawn by another policy.

Shapes: V tokens of the vocabulary, any axes before it.
"""


def k1(logp, ref_logp):
    r"""$\log\pi-\log\pi_{ref}$"""
    return logp - ref_logp


def k2(logp, ref_logp):
    r"""$\tfrac12(\log\pi-\log\pi_{ref})^2$"""
    return (logp - ref_logp).square() / 2


def k3(logp, ref_logp):
    r"""$r-1-\log r$ with $r=\pi_{ref}/\pi$"""
    log_r = ref_logp - logp
    return log_r.expm1() - log_r


def exact(logits, ref_logits):
    r"""$\sum_v\pi(v)\log\frac{\pi(v)}{\pi_{ref}(v)}$ over the whole vocabulary.  (.., V) -> (..)"""
    check(logits, ref_logits)
    logp, ref_logp = logits.log_softmax(-1), ref_logits.log_softmax(-1)
    return (logp.exp() * (logp - ref_logp)).sum(-1)


def moments(estimate, logits, ref_logits):
    r"""Mean and variance of an estimate over the next token drawn from $\pi$, exactly.  (.., V) -> (..) and (..)

    In float64, because a token that hardly ever comes may weigh more than all others: k3 of it is enormous.
    """
    check(logits, ref_logits)
    logp, ref_logp = logits.double().log_softmax(-1), ref_logits.double().log_softmax(-1)
    chance, value = logp.exp(), estimate(logp, ref_logp)  # (.., V)
    mean = (chance * value).sum(-1)
    return mean, (chance * (value - mean[..., None]).square()).sum(-1)


def check(logits, ref_logits):
    """Two distributions over the same tokens at the same places."""
    if logits.shape != ref_logits.shape:
        raise ValueError(
            f"two distributions over one vocabulary at the same positions are compared, got logits of "
            f"{tuple(logits.shape)} and {tuple(ref_logits.shape)}: call both models on the same ids"
        )
