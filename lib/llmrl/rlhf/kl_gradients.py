r"""What an estimate of the KL teaches a policy: the gradient it leads to on average, as a sum over all tokens.

$\mathrm{KL}(\pi\,\|\,\pi_{ref})$ is a mean under the policy that is trained, so it changes in two ways: each token's
term changes, and so does how often the token comes. Back-propagating through an estimate at sampled tokens sees the
first way only. There k1 has no gradient at all, k2 has that of the KL, and k3 that of the other KL,
$\mathrm{KL}(\pi_{ref}\,\|\,\pi)$. An estimate that is paid as a negative reward works the second way only: there k1
is right and k3 is not. Multiplied by the ratio $\pi/\pi_{old}$ and differentiated through both, whatever is unbiased
is right. Over a text each token also decides what comes after it, so it has to pay for that too (Tang & Munos 2025,
arXiv:2506.09477; Liu et al. 2025, arXiv:2510.01555).
Left out: clipping, and sampling noise.

Shapes: V tokens of the vocabulary, any axes before it; Y answers of a tree, T tokens of the longest, N nodes.
"""

import torch

from llmrl.rl.returns import returns
from llmrl.rlhf.kl import check, k1


def loss_gradient(estimate, logits, ref_logits):
    r"""$\sum_v\pi(v)\nabla k(v)$: an estimate of sampled tokens is the loss.  (.., V) -> (.., V)"""
    leaf, chance = prepared(logits, ref_logits)
    loss = (chance * estimate(leaf.log_softmax(-1), ref_logits.log_softmax(-1))).sum()
    return torch.autograd.grad(loss, leaf)[0]


def reward_gradient(estimate, logits, ref_logits):
    r"""$\sum_v\pi(v)\,k(v)\,\nabla\log\pi(v)$: the estimate is a price, and the policy learns by REINFORCE.  (.., V)"""
    leaf, chance = prepared(logits, ref_logits)
    logp = leaf.log_softmax(-1)
    price = estimate(logp.detach(), ref_logits.log_softmax(-1))
    return torch.autograd.grad((chance * price * logp).sum(), leaf)[0]


def corrected_gradient(estimate, logits, ref_logits, old_logits=None):
    r"""$\sum_v\pi_{old}(v)\,\nabla\bigl[\tfrac{\pi(v)}{\pi_{old}(v)}k(v)\bigr]$: the loss times the ratio.  (.., V)

    The tokens come from old_logits, or from the policy itself.
    """
    leaf, chance = prepared(logits, ref_logits, old_logits)
    logp = leaf.log_softmax(-1)
    ratio = (logp - chance.log()).exp()
    return torch.autograd.grad((chance * ratio * estimate(logp, ref_logits.log_softmax(-1))).sum(), leaf)[0]


def prepared(logits, ref_logits, old_logits=None):
    """The logits to be differentiated by, and how often each token is drawn, which is not."""
    check(logits, ref_logits)
    old_logits = logits if old_logits is None else old_logits
    check(logits, old_logits)
    return logits.detach().requires_grad_(), old_logits.detach().softmax(-1)


def answer_loss_gradient(estimate, tree, scores, ref_scores):
    r"""$\sum_y\pi(y)\nabla\sum_t k(y_t)$: the loss is the sum over the tokens of sampled answers.  (N) -> (N)"""
    leaf = scores.detach().requires_grad_()
    steps, ref_steps = tree.step_logp(leaf), tree.step_logp(ref_scores)  # (Y, T), 0 behind an answer's end
    chance = steps.sum(1).exp().detach()
    return torch.autograd.grad((chance * estimate(steps, ref_steps).sum(1)).sum(), leaf)[0]


def answer_reward_gradient(tree, scores, ref_scores, gamma=1.0):
    r"""$\sum_y\pi(y)\sum_t G_t\nabla\log\pi(y_t)$ with k1 as the price of a token and G the prices to come.  (N) -> (N)

    gamma = 0 lets every token pay for itself alone.
    """
    leaf = scores.detach().requires_grad_()
    steps, ref_steps = tree.step_logp(leaf), tree.step_logp(ref_scores)
    prices = k1(steps, ref_steps).detach().T  # (T, Y)
    to_go = returns(prices, torch.zeros_like(prices, dtype=torch.bool), gamma).T
    return torch.autograd.grad((steps.sum(1).exp().detach() * (to_go * steps).sum(1)).sum(), leaf)[0]
