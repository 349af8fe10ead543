r"""One frozen model that plays all roles of RLHF: each is an adapter, put on for a pass, and perhaps a head.

Policy, critic and reward model begin as copies of one tuned model, and the reference stays it. If each of them may
learn only a LoRA adapter beside the frozen weights, then the frozen weights are the same four times, and one copy will
do: every linear map keeps a slot with all adapters, of which one is on, or none for the reference. The outputs are
those of four separate models, bit by bit, since the same numbers meet in the same order.
Left out: two roles in one pass, merging an adapter into weights that others need, checkpointed activations, whose
second forward pass would wear whatever is on by then.

Shapes: B sequences, T positions, V vocabulary.
"""

import contextlib
import copy

from torch import nn

from llmrl import seeds
from llmrl.lm.model import Linear
from llmrl.tuning.lora import ALL, LoRALinear, named, put


class Slot(nn.Module):
    """A frozen linear map with adapters beside it, by role; the one that is on is used, or none."""

    def __init__(self, linear):
        super().__init__()
        self.linear, self.adapters, self.on = linear.requires_grad_(False), nn.ModuleDict(), None

    def forward(self, x):
        return self.adapters[self.on](x) if self.on in self.adapters else self.linear(x)


class SharedBase(nn.Module):
    """A frozen copy of a language model with a slot at every linear map that `where` names."""

    def __init__(self, lm, where=ALL):
        super().__init__()
        self.lm, self.roles = copy.deepcopy(lm).requires_grad_(False), {None: None}
        for name, linear in named(self.lm, where).items():
            put(self.lm, name, Slot(linear))

    def slots(self):
        """Every slot, in the order of the model."""
        return [module for module in self.lm.modules() if isinstance(module, Slot)]

    def add(self, name, rank, alpha, head=False, generator=None):
        """A new role with adapters of its own, B at zero; with head, a scalar head, zero as well.  -> Role"""
        if not name or name in self.roles:
            raise ValueError(f"a role needs a name of its own, got {name!r}: there are {', '.join(self._names())}")
        generator = generator or seeds.rng(seeds.base_seed(), "lora", "A")
        for slot in self.slots():
            slot.adapters[name] = LoRALinear(slot.linear, rank, alpha, generator=generator)
        self.roles[name] = Role(self, name, head)
        return self.roles[name]

    def reference(self):
        """The role without adapters: the model as it came."""
        return Role(self, None)

    @contextlib.contextmanager
    def wearing(self, name):
        """Inside the block self.lm is the role's language model: with base.wearing("policy"): generate(base.lm, ..)"""
        if name not in self.roles:
            raise ValueError(f"no role is called {name!r}: there are {', '.join(self._names())}, add() makes others")
        slots = self.slots()
        before = [slot.on for slot in slots]
        try:
            for slot in slots:
                slot.on = name
            yield self.lm
        finally:
            for slot, on in zip(slots, before):
                slot.on = on

    def _names(self):
        return ["the reference", *(name for name in self.roles if name)]


class Role(nn.Module):
    """One of the models that share a base: its own adapters and head; the base itself is not among its weights.

    ids (B, T) -> logits (B, T, V), or with a head (B, T): one number at every position.
    """

    def __init__(self, base, name, head=False):
        super().__init__()
        self.name, self._base = name, (base,)  # in a tuple, so that the base's weights are nobody's to train
        adapters = [slot.adapters[name] for slot in base.slots()] if name else []
        self.adapters = nn.ParameterList([matrix for adapter in adapters for matrix in (adapter.A, adapter.B)])
        self.head = Linear(base.lm.config.width, 1) if head else None
        if head:
            nn.init.zeros_(self.head.weight)

    def forward(self, ids):
        with self._base[0].wearing(self.name) as lm:
            hidden = lm.hidden(ids)
            return self.head(hidden).squeeze(-1) if self.head else lm.unembed(hidden)


def stored(*modules, optimizers=()):
    """Bytes of memory behind weights, gradients and optimizer states; what several share is counted once."""
    tensors = [x for module in modules for x in (*module.parameters(), *module.buffers())]
    tensors += [x.grad for x in tensors if x.grad is not None]
    states = [x for optimizer in optimizers for state in optimizer.state.values() for x in state.values()]
    tensors += [x for x in states if hasattr(x, "untyped_storage")]
    blocks = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}
    return sum(blocks.values())
