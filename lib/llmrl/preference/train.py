r"""Learning from preferences on a model: one loop for every loss.

The loop draws rows, hands them to a loss as a `Batch`, and takes the step. The loss asks the batch for what its
equation needs (log-probabilities of the sides of a row, with or without gradient, of the reference, lengths), and
nothing else is computed: a loss without a reference never runs one, and what a method costs is counted, not declared.
A frozen reference is a table of log-probabilities, computed once before the first step; one that moves is asked at
every step.

    fit(model, rows, lambda b: losses.simpo(*b.logp(0, 1), *b.length(0, 1)))

DPO has a name of its own, `train`: two sequences, two models, four log-probabilities, one step.
Left out: fresh pairs, several epochs without repetition (rows are drawn at random).

Shapes: B rows, K sides of a row (chosen and rejected, or a longer ranking), T positions.
"""

import torch

from llmrl import seeds
from llmrl.lm.logprobs import token_logp
from llmrl.lm.training import Plan, adamw, learning_rate, pad_samples, set_rate, update
from llmrl.preference import losses
from llmrl.tuning import chat

PLAN = Plan(steps=64, lr=3e-4, warmup=5)


def rendered(pairs, tokenizer=None):
    """Rows {"prompt", "chosen", "rejected"} -> ((ids, mask) of the chosen, (ids, mask) of the rejected) each."""
    sides = ("chosen", "rejected")
    for i, row in enumerate(pairs):
        if row["chosen"].strip() == row["rejected"].strip():
            raise ValueError(
                f"pair {i} prefers an answer to itself, {row['chosen'][:60]!r}: nothing can be learned, leave it out"
            )
    return [tuple(chat.render(chat.exchange(row["prompt"], row[side]), tokenizer) for side in sides) for row in pairs]


def unpaired(pairs):
    """Rendered pairs taken apart, for KTO -> rows (answer, a stranger's answer to its prompt), good (rows,) bool.

    The strangers are the answers of the next pair, of the last pair's the first: what the reference point is read from.
    """
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} pairs hold no answer to another prompt: give two pairs or more")
    rows = []
    for pair, following in zip(pairs, [*pairs[1:], pairs[0]]):
        for sample, stranger in zip(pair, following):
            prompt, answer = sample[1].index(True), stranger[1].index(True)
            mixed = (sample[0][:prompt] + stranger[0][answer:], sample[1][:prompt] + stranger[1][answer:])
            rows.append((sample, mixed))
    return rows, torch.tensor([True, False]).repeat(len(pairs))


def answer_logp(model, samples):
    r"""$\log\pi(y\mid x)$, summed over the tokens of the answer.  (ids, mask) samples -> (B,)"""
    ids, mask = pad_samples(samples)
    return torch.where(mask[:, 1:], token_logp(model(ids), ids), 0.0).sum(1)


@torch.no_grad()
def reference_logp(model, rows, batch=64):
    """Log-probabilities of every side of every row under the frozen reference.  -> (rows, K), (0, 2) for no rows"""
    parts = [
        torch.stack([answer_logp(model, side) for side in zip(*rows[i : i + batch])], dim=1)
        for i in range(0, len(rows), batch)
    ]
    return torch.cat(parts) if parts else torch.empty(0, 2)


class Batch:
    """The rows drawn for a step. A loss asks for what it needs; every answer is one (B,) tensor per side asked for."""

    def __init__(self, model, rows, reference, drawn):
        self.model, self.reference, self.drawn = model, reference, drawn  # drawn (B,): the numbers of the rows
        self.rows = [rows[i] for i in drawn.tolist()]
        self.trained = self.watched_only = 0  # sequences that went forward and backward, and only forward
        self.known = {}

    def logp(self, *sides):
        """Log-probabilities under the policy, with gradient: all sides in one forward pass."""
        if sides not in self.known:
            found = answer_logp(self.model, self._samples(sides))
            self.trained += len(found)
            self.known[sides] = found.split(len(self.rows))
        return self.known[sides]

    @torch.no_grad()
    def watched(self, *sides):
        """The same without gradient: for what is measured and not learned."""
        self.watched_only += len(self.rows) * len(sides)
        return answer_logp(self.model, self._samples(sides)).split(len(self.rows))

    @torch.no_grad()
    def ref_logp(self, *sides):
        """Log-probabilities under the reference: looked up if it is frozen, computed if it moves."""
        if self.reference is None:
            raise ValueError("this loss asks for a reference: give fit reference_logp(model, rows), or one that moves")
        if torch.is_tensor(self.reference):
            return tuple(self.reference[self.drawn, side] for side in sides)
        self.watched_only += len(self.rows) * len(sides)
        return self.reference.logp(self._samples(sides)).split(len(self.rows))

    def length(self, *sides):
        """How many tokens each answer has, its end included."""
        return tuple(torch.tensor([sum(row[side][1]) for row in self.rows]) for side in sides)

    def record(self):
        """What the step looked like: sequences counted, and a pair's margin, over the reference if one is frozen."""
        found = {"trained": self.trained, "watched": self.watched_only}
        if (0, 1) in self.known:
            chosen, rejected = self.known[0, 1]
            margin = (chosen - rejected).detach()
            if torch.is_tensor(self.reference):
                ref_chosen, ref_rejected = self.ref_logp(0, 1)
                margin = margin - ref_chosen + ref_rejected
            found |= {"accuracy": (margin > 0).float().mean().item(), "margin": margin.mean().item()}
        return found

    def _samples(self, sides):
        return [row[side] for side in sides for row in self.rows]


def fit(model, rows, loss, reference=None, plan=PLAN, batch=16, seed=0):
    """Tune a model in place on rows of samples by loss(Batch) -> (B,); yields a record of each batch before its step.

    reference is None, the log-probabilities (rows, K) of a frozen one, or an object that moves: logp(samples) -> (B,)
    and follow(model, step), which is called after every step.
    """
    _check(model, rows, reference)
    optimizer = adamw(model, plan.lr, plan.weight_decay)
    for step in range(plan.steps):
        set_rate(optimizer, learning_rate(step, plan))
        drawn = torch.randint(len(rows), (batch,), generator=seeds.rng(seed, "dpo", step))
        seen = Batch(model, rows, reference, drawn)
        value = loss(seen).mean()
        record = {"step": step, "loss": value.item(), **seen.record()}
        update(model, optimizer, value, plan.clip)
        if hasattr(reference, "follow"):
            reference.follow(model, step)
        yield record


def train(model, pairs, ref_logp, plan=PLAN, beta=0.1, batch=16, seed=0):
    """DPO: tune a model in place on rendered pairs; yields loss, accuracy and margin of each batch before its step."""

    def loss(b):
        return losses.dpo(*b.logp(0, 1), *b.ref_logp(0, 1), beta)

    yield from fit(model, pairs, loss, ref_logp, plan, batch, seed)


def _check(model, rows, reference):
    """Say what is wrong with rows and reference before a step is taken."""
    sides = len(rows[0]) if rows else 2
    if not rows or torch.is_tensor(reference) and reference.shape != (len(rows), sides):
        shape = tuple(getattr(reference, "shape", ()))
        raise ValueError(
            f"{len(rows)} pairs need a reference's log-probabilities of shape ({len(rows)}, {sides}), got "
            f"{shape}: reference_logp(model, pairs) computes them, for one pair or more"
        )
    if torch.is_tensor(reference) and not reference.isfinite().all():
        at = (~reference.isfinite()).nonzero()[0].tolist()
        raise ValueError(f"the reference's log-probabilities must be finite, row and side {at} is not: compute it anew")
    context = model.config.context
    for i, row in enumerate(rows):
        if len(row) != sides:
            raise ValueError(f"every row needs {sides} sides like the first, row {i} has {len(row)}: leave it out")
        for ids, mask in row:
            if len(ids) != len(mask) or not any(mask[1:]) or len(ids) > context:
                raise ValueError(
                    f"row {i} needs answers of one token or more, as many masks as ids, at most {context} tokens with "
                    f"the prompt; got {len(ids)} ids, {len(mask)} masks, {sum(mask)} of them the answer: leave it out"
                )
