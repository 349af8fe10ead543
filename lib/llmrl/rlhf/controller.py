r"""The price of a nat, set so that a policy ends where it was wanted: the adaptive KL controller of RLHF.

Nobody knows beforehand which price $\beta$ of moving away leads to which distance. Ziegler et al. (2019,
arXiv:1909.08593, section 2.2) name the distance instead and let the price follow it in its logarithm: with the error
$e=\mathrm{clip}(\mathrm{KL}/\mathrm{target}-1,-0.2,0.2)$ the next price is $\beta(1+K e)$. The error is cut so that
one strange batch cannot throw the price about, and the price never changes its sign.
Left out: a controller that looks at how fast the KL moves.
"""


def next_price(beta, kl, target, gain=0.1, most=0.2):
    r"""$\beta\,(1+K\,\mathrm{clip}(\mathrm{KL}/\mathrm{target}-1,-m,m))$.  kl: nats per answer, of this batch"""
    if not (target > 0 and beta > 0 and gain >= 0 and 0 < most < 1 and gain * most < 1):
        raise ValueError(
            f"beta and target must be above 0, gain at least 0 and most in (0, 1), with gain * most below 1, got beta "
            f"{beta}, target {target}, gain {gain} and most {most}: a price that reaches 0 stays there"
        )
    return beta * (1 + gain * max(-most, min(most, kl / target - 1)))
