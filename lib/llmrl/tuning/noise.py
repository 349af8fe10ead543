r"""How noisy a gradient is, and how large a batch it asks for.

A batch's gradient is a mean over what was drawn, so its noise shrinks with the batch: with the true gradient G and the
covariance $\Sigma$ of single samples, $\mathbb{E}|G_B|^2=|G|^2+\mathrm{tr}(\Sigma)/B$. The ratio
$\mathcal{B}=\mathrm{tr}(\Sigma)/|G|^2$ is the noise scale (McCandlish et al. 2018, arXiv:1812.06162): a batch of that
size has as much noise as signal, a smaller one wastes little, a larger one gains little. The mean over the tokens of
samples of different lengths is a ratio of two sums; to first order a sample then counts with what its gradient has
beyond its share, $r_i=(s_i-n_iG)/\bar n$.
Left out: the Hessian, which an exact answer asks for, and how G changes along the way.

Shapes: N samples, P parameters, B samples in a batch.
"""

import torch

from llmrl.lm.logprobs import token_logp


def sample_gradients(model, samples):
    """The gradient of every sample's summed loss, and how many tokens it learns.  -> (N, P), (N,)"""
    if not samples:
        raise ValueError("there are no samples whose gradients could be taken: give pairs (ids, mask)")
    weights, counts = list(model.parameters()), []
    sums = torch.empty(len(samples), sum(w.numel() for w in weights))  # written in place: it may be large
    for row, (ids, mask) in zip(sums, samples):
        ids, mask = torch.tensor([ids]), torch.tensor([mask])
        loss = -token_logp(model(ids), ids)[mask[:, 1:]].sum()
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)], out=row)
        counts.append(mask[:, 1:].sum())
    return sums, torch.stack(counts)


def batch_gradient(sums, counts):
    """The gradient of the mean over all tokens of some samples.  (.., B, P), (.., B) -> (.., P)"""
    return sums.sum(-2) / counts.sum(-1, keepdim=True)


def residuals(sums, counts):
    r"""$r_i=(s_i-n_iG)/\bar n$, what each sample adds to the noise of a token mean.  (N, P), (N,) -> (N, P)"""
    return (sums - counts[:, None] * batch_gradient(sums, counts)) / counts.float().mean()


def noise_scale(sums, counts):
    r"""$\mathrm{tr}(\Sigma)/|G|^2$ in samples, both without bias, from N samples.  (N, P), (N,) -> a number"""
    if len(sums) < 2 or len(sums) != len(counts):
        raise ValueError(
            f"the noise scale needs the gradients and token counts of two samples or more, got {len(sums)} and "
            f"{len(counts)}: the spread of a single one cannot be told"
        )
    if not sums.isfinite().all():
        bad = (~sums.isfinite()).any(1).nonzero()[0].item()
        raise ValueError(f"sample {bad} has a gradient that is not finite: look at its tokens and at its loss")
    spread = residuals(sums, counts).square().sum() / (len(sums) - 1)
    signal = batch_gradient(sums, counts).square().sum() - spread / len(sums)
    return (spread / signal.clamp(min=0)).item()


def from_two_sizes(small, large, sizes):
    r"""$|G|^2$ and $\mathrm{tr}(\Sigma)$ from the mean squared gradient lengths of two batch sizes, without bias.

    This is what a training run has anyway: the gradient of one rank, and the average over all of them.
    """
    b, B = sizes
    if not 0 < b < B:
        raise ValueError(f"sizes must be a smaller and a larger batch, got {sizes}: of equal ones nothing can be told")
    return (B * large - b * small) / (B - b), (small - large) / (1 / b - 1 / B)
