r"""PPO-Penalty: pay for the distance from the old policy, at a price that is set by what was bought.

$\rho A-\beta\,\mathrm{KL}(\pi_{old}\|\pi)$ can be climbed by plain gradient steps, many on one batch (Schulman et al.
2017, arXiv:1707.06347, section 4). No one price suits a whole run, so a controller watches the KL that each update
ended at: above one and a half times the target the price doubles, below two thirds of it the price is halved. Where it
starts hardly matters. Left out: a penalty that grows faster than the KL.
"""

import torch


def penalised(ratio, adv, kl, beta):
    r"""$\rho A-\beta\,\mathrm{KL}$, per item, to be made large.  all of one shape, or of shapes that fit"""
    return ratio * adv - beta * kl


def adapt(beta, kl, target):
    r"""The next price: $2\beta$ if KL > 1.5 target, $\beta/2$ if KL < target/1.5, else $\beta$.  beta, kl (...)"""
    beta, kl = torch.as_tensor(beta), torch.as_tensor(kl)
    if target <= 0 or (beta <= 0).any():
        raise ValueError(f"target and beta must be above 0, got {target} and {beta.tolist()}: doubling 0 leads nowhere")
    return torch.where(kl > 1.5 * target, 2 * beta, torch.where(kl < target / 1.5, beta / 2, beta))
