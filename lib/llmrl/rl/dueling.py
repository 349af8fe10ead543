r"""Two streams that make one Q: how good the state is, and how much better than average each action.

Wang et al. 2016 (arXiv:1511.06581): $Q(s,a)=V(s)+A(s,a)-\frac1{|A|}\sum_{b}A(s,b)$. Without the last term a constant
could wander between V and A unseen; with it V is the mean of Q. Every update of one action then moves the value
that all actions share. Left out: the variant that subtracts the largest advantage.

Shapes: A actions, M numbers per action (atoms or quantiles), where there are several.
"""

from torch import nn

from llmrl.rl.stacked import StackedLinear


def dueling(value, adv, dim=-1):
    """V + A - mean of A over the actions.  value (..., 1), adv (..., A), the actions along dim -> (..., A)"""
    if value.dim() != adv.dim() or value.shape[dim] != 1:
        raise ValueError(
            f"value must have the dimensions of adv and one entry along dimension {dim}, got {tuple(value.shape)} and "
            f"{tuple(adv.shape)}: add value[..., None] where it is missing"
        )
    return value + adv - adv.mean(dim, keepdim=True)


class DuelingHead(nn.Module):
    """From features to A actions with M numbers each, through a stream for the state and one for the actions."""

    def __init__(self, networks, inputs, actions, numbers=1, layer=StackedLinear, generator=None):
        super().__init__()
        self.numbers = numbers
        self.value = layer(networks, inputs, numbers, generator)
        self.adv = layer(networks, inputs, actions * numbers, generator)

    def forward(self, x):
        """x (K, B, inputs) -> (K, B, A, M)"""
        value = self.value(x).unflatten(-1, (1, self.numbers))
        return dueling(value, self.adv(x).unflatten(-1, (-1, self.numbers)), dim=-2)
