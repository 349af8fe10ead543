r"""Recurrent networks: the past squeezed into one vector, and what that does to a gradient.

A recurrent network reads a text one token at a time and keeps one state: $h_t=\tanh(Wh_{t-1}+Ux_t+b)$. The gradient
that reaches a state k steps back is a product of k matrices $\mathrm{diag}(1-h^2)W$, so it shrinks or grows like the
k-th power of something. The LSTM (Hochreiter and Schmidhuber 1997; the gate f: Gers et al. 2000) adds a second state,
carried on by multiplication with a gate and by addition, which slows the decay. Attention (model.Attention) looks at
every position directly.
Left out: the GRU, several recurrent layers, state-space models.

Shapes: B sequences, T positions, D width, V vocabulary.
"""

import torch
from torch import nn


def rnn(inputs, state, weight, reads, bias):
    r"""Every state of $h_t=\tanh(Wh_{t-1}+Ux_t+b)$.  inputs (B, T, D), state (B, D), matrices (D, D)"""
    states = []
    for x in inputs.unbind(1):
        state = torch.tanh(state @ weight.T + x @ reads.T + bias)
        states.append(state)
    return torch.stack(states, 1)


def through_time(grad, states, weight):
    r"""The gradient in every state, from that in the last: $g_{t-1}=W^\top(g_t\odot(1-h_t^2))$.

    grad (B, D), states (B, T, D), weight (D, D) -> (B, T, D)
    """
    grads = [grad]
    for state in states[:, 1:].flip(1).unbind(1):
        grads.append((grads[-1] * (1 - state**2)) @ weight)
    return torch.stack(grads[::-1], 1)


def reach(states, weight):
    r"""$\|\partial h_T/\partial h_{T-k}\|$: the most a small change counts k = 0, 1, ... steps on.  (T, D) -> (T,)"""
    every = torch.eye(len(weight), dtype=weight.dtype)  # one row for each number of the last state
    jacobians = through_time(every, states.expand(len(weight), -1, -1), weight)  # (D, T, D)
    return torch.linalg.matrix_norm(jacobians.transpose(0, 1), 2).flip(0)


def spectral_radius(weight):
    """The largest absolute eigenvalue: the rate at which high powers of a matrix grow or shrink."""
    return torch.linalg.eigvals(weight).abs().max()


class RecurrentLM(nn.Module):
    """A language model with one recurrent layer, torch's own "rnn" or "lstm".  ids (B, T) -> logits (B, T, V)"""

    KINDS = {"rnn": nn.RNN, "lstm": nn.LSTM}

    def __init__(self, vocab, width, kind, generator):
        super().__init__()
        if kind not in self.KINDS:
            raise ValueError(f"kind must be one of {', '.join(self.KINDS)}, got {kind!r}")
        self.embed = nn.Embedding(vocab, width)
        self.memory = self.KINDS[kind](width, width, batch_first=True)
        self.score = nn.Linear(width, vocab)
        self.initialise(generator)

    @torch.no_grad()
    def initialise(self, generator):
        """Uniform within 1/sqrt(D), as torch does it, from a stream of its own."""
        for weight in self.parameters():
            bound = self.memory.hidden_size**-0.5
            weight.uniform_(-bound, bound, generator=generator)

    def forward(self, ids):
        return self.score(self.memory(self.embed(ids))[0])
