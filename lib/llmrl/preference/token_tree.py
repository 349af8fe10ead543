r"""Answers as a tree of tokens: a policy over whole answers is a choice at every fork, and back.

A language model never scores an answer as a whole, it chooses token after token. When all answers are listed, their
beginnings form a tree; a distribution over the answers and one distribution at every node say the same. The best
policy then chooses a token by $\pi^*(a\mid s)=\pi_{ref}(a\mid s)\,e^{(V(sa)-V(s))/\beta}$, where the soft value
$V(s)=\beta\log\sum_{y\text{ below }s}\pi_{ref}(y\mid s)e^{r(y)/\beta}$ looks ahead to every end that is still possible
(Rafailov et al. 2024, arXiv:2404.12358).
Left out: answers of one space that begin other answers; a stop token at the end of each prevents that.

Shapes: Y answers, N nodes other than the root, one for each beginning; T tokens of the longest answer.
"""

import torch


class Tree:
    """The beginnings of some answers, lists of token ids, and the ways between them.

    beginnings: N tuples, parent (N): which node each one continues, N for the root; path (Y, T): nodes on the way to
    each answer, N behind its end.
    """

    def __init__(self, answers):
        answers = [tuple(answer) for answer in answers]
        begun = list(dict.fromkeys(a[:t] for a in answers for t in range(1, len(a) + 1)))
        inner = {b[:-1] for b in begun}
        if not answers or len(set(answers)) < len(answers) or not all(answers) or inner & set(answers):
            raise ValueError(
                f"answers must be different lists of ids, none empty and none the beginning of another, got "
                f"{len(answers)} of which {len(set(answers))} are different: end each with a stop token"
            )
        place = {b: n for n, b in enumerate(begun)} | {(): len(begun)}
        longest = max(map(len, answers))
        self.beginnings = begun
        self.parent = torch.tensor([place[b[:-1]] for b in begun])
        self.path = torch.tensor([[place[a[:t]] if t <= len(a) else len(begun) for t in range(1, longest + 1)]
                                  for a in answers])  # fmt: skip

    def answer_logp(self, scores):
        r"""A softmax at every node, multiplied along each path.  scores (N), any numbers -> (Y)"""
        return self.step_logp(scores).sum(1)

    def step_logp(self, scores):
        """The same, token by token: log-probabilities along each answer, 0 behind its end.  scores (N) -> (Y, T)"""
        chosen = scores - self.above(scores)[self.parent]  # (N): log-probability of each token where it stands
        return torch.cat([chosen, chosen.new_zeros(1)])[self.path]

    def above(self, scores):
        """logsumexp of the scores of each node's children.  (N) -> (N + 1), the root last"""
        least = scores.new_full((len(self.parent) + 1,), -torch.inf)
        top = least.scatter_reduce(0, self.parent, scores.detach(), "amax")
        powers = (scores - top[self.parent]).exp()
        return top + torch.zeros_like(top).scatter_add(0, self.parent, powers).log()

    def below(self, numbers):
        """logsumexp over the answers below each node.  (Y) -> (N + 1), the root last"""
        on = torch.zeros(len(self.parent) + 1, len(numbers), dtype=torch.bool)
        on[self.path.T, torch.arange(len(numbers))] = True
        on[-1] = True  # every answer is below the root
        return torch.where(on, numbers, -torch.inf).logsumexp(1)

    def token_logp(self, logp):
        """The choice at every node that a distribution over answers amounts to.  (Y) -> (N)"""
        reached = self.below(logp)
        return reached[:-1] - reached[self.parent]

    def soft_value(self, ref_logp, reward, beta):
        r"""$V(s)$ of every node, the root last; at the end of an answer it is its reward.  (Y), (Y) -> (N + 1)"""
        return beta * (self.below(ref_logp + reward / beta) - self.below(ref_logp))

    def stretches(self):
        """From fork to fork: (node, next node, the ids between), for a picture.  Ends of answers count as forks."""
        below = {node: [] for node in range(len(self.parent) + 1)}
        for node, parent in enumerate(self.parent.tolist()):
            below[parent].append(node)
        found, forks = [], [len(self.parent)]
        for start in forks:  # grows while it is read
            for node in below[start]:
                ids = [self.beginnings[node][-1]]
                while len(below[node]) == 1:
                    (node,) = below[node]
                    ids.append(self.beginnings[node][-1])
                found.append((start, node, ids))
                forks += [node] if below[node] else []
        return found

    def layout(self):
        """Where a picture puts the forks and ends: {node: (column, row)}, a fork in the middle of what follows it."""
        following, place = {}, {}
        for start, end, _ in self.stretches():
            following.setdefault(start, []).append(end)

        def put(node, column, row):
            """Put a node and all behind it; the next free row comes back."""
            after = following.get(node, [])
            for end in after:
                row = put(end, column + 1, row)
            rows = [place[end][1] for end in after]
            place[node] = (column, sum(rows) / len(rows) if after else row)
            return row if after else row + 1

        put(len(self.parent), 0, 0)
        return place
