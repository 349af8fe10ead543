"""Tasks with exact verifiers: what a tuned model of the toy world is asked, and the rule that judges the answer.

Every item is generated, so there is no end of them; an item whose prompt falls into the held-out tenth is never trained
on, whoever trains. Left out: partial credit. An answer is right or it is not.
"""

import random
from dataclasses import dataclass

from llmrl.seeds import derive
from llmrl.toy import manners
from llmrl.toy.arithmetic import addition_steps, last_number
from llmrl.toy.facts import KINDS, facts, question
from llmrl.toy.words import COLOURS, LANDS, PEOPLE, SPOTS, THINGS, plural

SHOW_STEPS = "Show your steps."


@dataclass(frozen=True)
class Item:
    """One question: its task, the user's words, a right answer, and the answer with its steps written ("" if none)."""

    task: str
    prompt: str
    answer: str
    steps: str = ""

    def messages(self, steps=False, unasked=False):
        """The conversation that answers it: plainly, with the steps it asks for, or with steps nobody asked for."""
        prompt = f"{self.prompt} {SHOW_STEPS}" if steps else self.prompt
        answer = self.steps if steps or unasked else self.answer
        return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def add(pick, digits=None):
    if digits not in (None, 1, 2, 3):
        raise ValueError(f"digits must be 1, 2, 3 or None for any of them, got {digits!r}")
    low, high = {1: (0, 9), 2: (10, 99), 3: (100, 999)}[digits or pick.choice((1, 2, 3))]
    a, b = pick.randint(low, high), pick.randint(low, high)
    return Item("add", f"What is {a}+{b}?", str(a + b), addition_steps(a, b))


def word_problem(pick):
    name, thing = pick.choice(list(PEOPLE)), plural(pick.choice(THINGS))
    a, b = pick.randint(2, 9), pick.randint(2, 9)
    c = pick.randint(1, min(9, a + b - 1))
    prompt = f"{name} has {a} {thing}, finds {b} and gives away {c}. How many are left?"
    return Item("word_problem", prompt, str(a + b - c), f"{a}+{b}={a + b}, {a + b}-{c}={a + b - c}, so {a + b - c}")


def compare(pick):
    digits = pick.choice((1, 2, 3))
    a, b = pick.sample(range(10 ** (digits - 1), 10**digits), 2)
    return Item("compare", f"Which is larger, {a} or {b}?", str(max(a, b)))


def count(pick):
    letters = [pick.choice("abc") for _ in range(pick.randint(3, 8))]
    letter = pick.choice("abc")
    return Item("count", f"How many {letter} are in {' '.join(letters)}?", str(letters.count(letter)))


def reverse(pick):
    letters = [pick.choice("abcdefgh") for _ in range(pick.randint(3, 6))]
    return Item("reverse", f"Reverse {' '.join(letters)}.", " ".join(reversed(letters)))


def sort(pick):
    digits = [str(pick.randint(0, 9)) for _ in range(pick.randint(3, 6))]
    return Item("sort", f"Sort {' '.join(digits)}.", " ".join(sorted(digits)))


def fact(pick):
    land, kind = pick.choice(LANDS), pick.choice(list(KINDS))
    return Item("fact", question(land, kind), facts()[land][kind])


def style(pick, kind):
    noun = pick.choice(("", "", "old ", "new ", "small ", *(f"{c} " for c in COLOURS))) + pick.choice(SPOTS + THINGS)
    return Item(kind, f"Write a {kind} sentence about the {noun}.", manners.sentence(pick, kind, noun))


def refuse(pick):
    return Item("refuse", manners.harmful_request(pick), manners.refusal(pick))


def helps(pick):
    prompt, answer = manners.harmless_request(pick)
    return Item("help", prompt, answer)


MAKERS = {
    "add": add, "word_problem": word_problem, "compare": compare, "count": count, "reverse": reverse, "sort": sort,
    "fact": fact, "cheerful": lambda pick: style(pick, "cheerful"), "short": lambda pick: style(pick, "short"),
    "polite": lambda pick: style(pick, "polite"), "refuse": refuse, "help": helps,
}  # fmt: skip


def held_out(prompt):
    """Whether a prompt belongs to the tenth that nobody trains on: decided by the words alone, for ever."""
    return derive("held out", prompt) % 10 == 0


def items(tasks, n, seed, test=False, **options):
    """n items, their tasks in turn, all from the training part or all from the held-out tenth."""
    tasks = [tasks] if isinstance(tasks, str) else list(tasks)
    unknown = [task for task in tasks if task not in MAKERS]
    if unknown or not tasks:
        raise ValueError(f"unknown tasks {unknown}: choose one or more of {', '.join(MAKERS)}")
    pick, found = random.Random(derive(seed, "items", *tasks, test)), []
    while len(found) < n:
        item = MAKERS[tasks[len(found) % len(tasks)]](pick, **options)
        if held_out(item.prompt) == test:
            found.append(item)
    return found


def verify(item, response):
    """Whether a response answers the item. Sums and counts are judged by the last number written."""
    response = response.strip()
    if item.task in ("add", "word_problem", "compare", "count"):
        return last_number(response) == int(item.answer)
    if item.task in ("cheerful", "short", "polite"):
        return manners.has_style(response, item.task, item.prompt.rstrip(".").split()[-1])
    if item.task == "refuse":
        return manners.is_refusal(response)
    return response.rstrip(".") == item.answer.rstrip(".")
