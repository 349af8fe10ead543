r"""Solutions as a tree: a node is a solution begun, a branch a step that the model may write next.

A step ends with a comma or with the end of the answer. `next_steps` lists every step of at least a given probability:
it follows the model token by token and drops what falls below, so nothing is left to dice and nothing that likely is
missed. `StepTree` offers the steps to any search: as a game of one player whose priors are the model's probabilities
(`mcts`), or as neighbours whose price is $-\log\pi(\mathrm{step})$ (`astar`), where the cheapest way is the likeliest
solution. A way through a step that was dropped costs more than $-\log\mathrm{floor}$: what is found below that is the
best there is. `limit` drops steps that a verifier refuses.
Left out: steps told apart by meaning; other marks than the comma.

Shapes: R beginnings of a step, T positions, V vocabulary.
"""

import math

import torch

from llmrl.toy import checkpoints
from llmrl.tuning import chat


def marks(tokenizer):
    """The tokens that end a step: the comma and the end of the answer."""
    return tokenizer.encode(",") + [tokenizer.im_end_id]


@torch.no_grad()
def next_steps(model, ids, floor, ends, longest=16):
    """Every next step of at least this probability: [(ids of the step, log p)], the likeliest first.  ids: a list

    No step may be longer than `longest` tokens. -> the steps, and how many tokens were followed to find them
    """
    if not 0 < floor < 1:
        raise ValueError(f"floor must be a probability in (0, 1), got {floor!r}: 0.01 finds every step of a percent")
    rows, logp, found, spent = torch.tensor([ids]), torch.zeros(1), [], 0
    for _ in range(longest):
        total = logp[:, None] + model(rows)[:, -1].log_softmax(-1)  # (R, V)
        text, token = (total >= math.log(floor)).nonzero(as_tuple=True)
        rows, logp = torch.cat([rows[text], token[:, None]], dim=1), total[text, token]
        spent += len(rows)
        ended = torch.isin(token, torch.tensor(ends))
        found += [(row[len(ids) :], score) for row, score in zip(rows[ended].tolist(), logp[ended].tolist())]
        rows, logp = rows[~ended], logp[~ended]
        if not len(rows):
            break
    if len(rows):
        raise ValueError(
            f"{len(rows)} steps have no end after {longest} tokens: set longest higher, or the floor {floor}"
        )
    return sorted(found, key=lambda step: -step[1]), spent


class StepTree:
    """All solutions of one problem.  A state is a tuple of steps, () at the root; a step is its text.

    judge(text) -> the worth of a finished solution; limit(state) -> whether a solution begun may go on.
    """

    players = 1

    def __init__(self, model, question, judge=lambda text: 0.0, floor=0.01, limit=lambda state: True):
        self.tokenizer = checkpoints.tokenizer()
        self.model, self.judge, self.floor, self.limit = model, judge, floor, limit
        self.ids = {(): chat.prompt_ids([{"role": "user", "content": question}], self.tokenizer)}
        self.known = {}  # {state: {step: log p}}, what the model was asked
        self.spent = 0  # tokens

    def steps(self, state):
        """{step: log p} after a state, the likeliest first; the model is asked once."""
        if state not in self.known:
            self.known[state] = {}
            found, spent = next_steps(self.model, self.ids[state], self.floor, marks(self.tokenizer))
            self.spent += spent
            for ids, logp in found:
                step = self.tokenizer.decode([i for i in ids if i != self.tokenizer.im_end_id])
                following = (*state, step)
                if following not in self.ids and self.limit(following):
                    self.known[state][step], self.ids[following] = logp, self.ids[state] + ids
        return self.known[state]

    def finished(self, state):
        """Whether a solution has come to its end: its last step has no comma behind it."""
        return bool(state) and not state[-1].endswith(",")

    def actions(self, state):
        return list(self.steps(state))

    def play(self, state, action):
        if action not in self.steps(state):
            raise ValueError(f"{action!r} is no step after {text(state)!r}: the model may write {self.actions(state)}")
        return (*state, action)

    def outcome(self, state):
        """The worth of a finished solution, 0 for one that nothing can follow, None while it goes on."""
        if self.finished(state):
            return float(self.judge(text(state)))
        return None if self.steps(state) else 0.0

    def priors(self, state):
        """{step: probability}"""
        return {step: math.exp(logp) for step, logp in self.steps(state).items()}

    def neighbours(self, state):
        """[(longer solution, -log p of the step)]"""
        return [((*state, step), max(0.0, -logp)) for step, logp in self.steps(state).items()]


def recommended(tree, root):
    """The solution a search recommends: at every node the step visited most, the likeliest where none was visited."""
    state, node = (), root
    while not tree.finished(state) and tree.steps(state):
        children = node.children if node and node.children else {}
        likely = tree.steps(state)
        step = max(likely, key=lambda s: (children[s].N if s in children else 0, likely[s]))
        state, node = (*state, step), children.get(step)
    return state


def text(state):
    """A solution as it was written."""
    return "".join(state).strip()
