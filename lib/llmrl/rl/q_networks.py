r"""Networks that stand for a table of action values.

A table of $Q(s,a)$ has no room for states that are lists of real numbers. A network has, and it comes in two shapes.
One reads a state and an action and returns one number: to find the best action it is asked once per action. The other
reads the state alone and returns all values at once, which is what DQN uses (Mnih et al. 2015). N learners, which share
nothing but the clock, lie in one stack of weights: ten seeds then need no more calls than one.
Left out: convolutions for pixels, and actions that are real numbers, for which only the first shape works.

Shapes: N learners, B states, D numbers per state, A actions, H hidden units.
"""

import json
from itertools import pairwise

import torch
from torch import nn

from llmrl.rl.stacked import StackedLinear
from llmrl.storage import write_whole


class QNetwork(nn.Module):
    """All action values of a state, for N learners side by side.  states (N, B, D) -> (N, B, A)

    sizes: D, the hidden layers, A.
    """

    def __init__(self, sizes, learners=1, generator=None):
        super().__init__()
        self.sizes, self.learners = tuple(sizes), learners
        if len(self.sizes) < 2:
            raise ValueError(
                f"sizes must name inputs and outputs, got {self.sizes}: (4, 64, 64, 2) has two hidden layers"
            )
        self.layers = nn.ModuleList(StackedLinear(learners, *two, generator) for two in pairwise(self.sizes))

    def forward(self, states):
        for layer in self.layers[:-1]:
            states = layer(states).relu()  # (N, B, H)
        return self.layers[-1](states)  # (N, B, A)


def ask_all(network, states, actions):
    """All values of each state from a network of the first shape, one question per action.

    network: (B, D + A) -> (B,), the action as a one and zeros behind the state; states (B, D) -> (B, A)
    """
    choices = torch.eye(actions, dtype=states.dtype)
    pairs = torch.cat([states.repeat_interleave(actions, 0), choices.repeat(len(states), 1)], 1)  # (B A, D + A)
    return network(pairs).view(-1, actions)


def alone(network, learner):
    """One learner's network by itself."""
    single = QNetwork(network.sizes)
    with torch.no_grad():
        for one, many in zip(single.parameters(), network.parameters()):
            one.copy_(many[learner : learner + 1])
    return single


def save(network, path):
    """Write a network as safetensors, its sizes in the header."""
    from safetensors.torch import save as encoded

    about = {"sizes": json.dumps(network.sizes), "learners": str(network.learners)}
    return write_whole(path, encoded(network.state_dict(), about))


def load(path):
    """The network that save() wrote."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file ({error}): save() writes one") from None
    if not {"sizes", "learners"} <= about.keys():
        raise ValueError(f"{path} does not say its sizes: it was not written by q_networks.save()")
    network = QNetwork(json.loads(about["sizes"]), int(about["learners"]))
    network.load_state_dict(weights)
    return network
