"""Where the memory of a server goes when texts come, grow and leave: runs of room reserved in advance, or pages.

Requests arrive, wait in line, are admitted when there is room, grow by one token per step and leave when they are done.
How long an answer will be nobody knows beforehand. A server that needs each text in one piece reserves for the longest
answer allowed: what the answer never uses is lost inside, and what is free but in pieces too small is lost outside.
Pages are taken when a token needs one. When none is left the newest text is sent back to the line and its tokens are
read again later. Time is counted in steps, memory in tokens.
Left out: how long a step takes, which is the subject of serving.
"""

from collections import deque
from dataclasses import dataclass, field, replace

import torch


@dataclass(frozen=True)
class Request:
    """One text: when it comes, tokens of the prompt, tokens it is allowed to write, tokens it will write."""

    arrives: int
    prompt: int
    limit: int
    answer: int

    def __post_init__(self):
        if self.arrives < 0 or self.prompt < 1 or not 1 <= self.answer <= self.limit:
            raise ValueError(
                f"a request needs arrives >= 0, prompt >= 1 and 1 <= answer <= limit, got {self}: an answer ends, at "
                f"the latest, at its limit"
            )


def random_trace(count, every, limits, generator):
    """Requests with prompts and answers of log-normal length; limits: those that users choose from, evenly."""
    gaps = torch.empty(count).exponential_(1 / every, generator=generator)
    prompts, answers = (torch.randn(count, generator=generator).mul(0.8).exp() * mean for mean in (30, 60))
    chosen = torch.randint(len(limits), (count,), generator=generator)
    rows = zip(gaps.cumsum(0).tolist(), prompts.tolist(), chosen.tolist(), answers.tolist())
    return [Request(int(at), 1 + min(int(p), 199), limits[c], 1 + min(int(a), limits[c] - 1)) for at, p, c, a in rows]


@dataclass
class Reserved:
    """Memory in one row: every text lies in one piece, at the first place where it fits."""

    room: int
    longest: int = 0  # reserve so much for everybody, whatever was asked for; 0 reserves prompt + limit
    held: dict = field(default_factory=dict)  # text -> (first, end)

    def needed(self, request):
        """What is reserved for a text when it is admitted."""
        return self.longest or request.prompt + request.limit

    def admit(self, name, request):
        """Take room, if there is room."""
        size, most = self.needed(request), request.prompt + request.limit
        if not most <= size <= self.room:
            raise ValueError(
                f"a text of up to {most} tokens does not fit in a piece of {size} of a room for {self.room}: lower its "
                f"limit, or reserve more"
            )
        first = next((first for first, end in self.holes() if end - first >= size), None)
        if first is not None:
            self.held[name] = (first, first + size)
        return first is not None

    def grow(self, name, tokens):
        """Was there room for one token more?  Always: it was reserved."""
        return True

    def drop(self, name):
        """The text is gone."""
        del self.held[name]

    def holes(self):
        """What is free, piece by piece."""
        edges = [0, *(edge for piece in sorted(self.held.values()) for edge in piece), self.room]
        return [(a, b) for a, b in zip(edges[::2], edges[1::2]) if b > a]

    @property
    def taken(self):
        return sum(end - first for first, end in self.held.values())


@dataclass
class Paged:
    """Memory in pages of `size` tokens; a text takes one when it needs one."""

    room: int
    size: int = 16
    spare: int = 0  # tokens' room that admission leaves to the texts that are there
    held: dict = field(default_factory=dict)  # text -> how many pages

    def needed(self, request):
        """What is taken for a text when it is admitted: its prompt, and room to say something."""
        return self.size * -(-(request.prompt + 1) // self.size)

    def admit(self, name, request):
        """Take pages, if there are pages."""
        most = request.prompt + request.limit
        if most + -most % self.size > self.room:
            raise ValueError(f"a text of up to {most} tokens does not fit in room for {self.room}: lower its limit")
        if self.held and self.needed(request) > self.room - self.spare - self.taken:
            return False
        self.held[name] = self.needed(request) // self.size
        return True

    def grow(self, name, tokens):
        """Was there room for one token more than `tokens`?"""
        if tokens < self.held[name] * self.size:
            return True
        if self.taken + self.size > self.room:
            return False
        self.held[name] += 1
        return True

    def drop(self, name):
        """The text is gone."""
        del self.held[name]

    @property
    def taken(self):
        return self.size * sum(self.held.values())


def serve_trace(trace, memory):
    """Run the requests through a memory, first come, first served.  Yields a record per step until all are done."""
    coming, requests = deque(sorted(enumerate(trace), key=lambda pair: pair[1].arrives)), dict(enumerate(trace))
    line, running, clock = deque(), {}, 0  # running: name -> tokens so far
    while coming or line or running:
        while coming and coming[0][1].arrives <= clock:
            line.append(coming.popleft()[0])
        while line and memory.admit(line[0], requests[line[0]]):
            name = line.popleft()
            running[name] = requests[name].prompt
        again = one_step(running, requests, memory, line)
        yield step_record(clock, running, line, requests, memory) | {"again": again}
        for name in [n for n, tokens in running.items() if tokens == requests[n].prompt + requests[n].answer]:
            memory.drop(name)
            del running[name]
        clock += 1


def one_step(running, requests, memory, line):
    """Every text gets a token, the oldest first.  -> tokens that will have to be read again"""
    again = 0
    for name in list(running):
        while name in running and not memory.grow(name, running[name]):
            newest = next(reversed(running))
            again += running[newest]
            send_back(newest, running, requests, memory, line)
        if name in running:
            running[name] += 1
    return again


def send_back(name, running, requests, memory, line):
    """To the head of the line, with what it has said so far as part of its prompt."""
    old, tokens = requests[name], running.pop(name)
    said = tokens - old.prompt
    requests[name] = replace(old, prompt=tokens, limit=old.limit - said, answer=old.answer - said)
    memory.drop(name)
    line.appendleft(name)


def step_record(clock, running, line, requests, memory):
    """Tokens in memory, room that was taken for none, free room; torn: it would do, if it were in one piece."""
    used, outside = sum(running.values()), memory.room - memory.taken
    torn = bool(line) and memory.needed(requests[line[0]]) <= outside - getattr(memory, "spare", 0)
    return {
        "step": clock, "running": len(running), "waiting": len(line), "used": used, "inside": memory.taken - used,
        "outside": outside, "torn": torn,
    }  # fmt: skip


def lost_on_last_page(length, size):
    """Places of its last page that a text of this length leaves empty."""
    return -length % size
