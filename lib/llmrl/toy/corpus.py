"""The corpus: a few megabytes of stories, facts, sums, lists, manners and a little Chinese, written by a grammar.

Stories keep their people, objects and colours from beginning to end, so a model that looks back does better than one
that counts pairs of words. Sums come with and without their steps. Nothing is in question-and-answer form with roles:
answering is what tuning will add. Left out: real text, and with it every licence but our own.
"""

import random

from llmrl.seeds import derive
from llmrl.toy import manners, tasks
from llmrl.toy.arithmetic import addition_steps
from llmrl.toy.facts import KINDS, facts, tellings
from llmrl.toy.words import COLOURS, FRUITS, LANDS, PEOPLE, SPOTS, THINGS, plural

PLOTS = {
    "lost": ("{A} has a {c} {x}.", "{S} takes the {x} to the {p}.|{S} plays with the {x} near the {p}.",
             "On the way home the {x} is gone.|Then {s} loses the {x}.", "{A} is sad.|{S} looks and looks.|",
             "{B} finds the {c} {x} at the {p}.", "{B} gives the {x} back to {A}.", '"Thank you, {B}," says {A}.',
             "They are happy.|{A} and {B} smile.|"),
    "gift": ("Today is the day of {B}.|{B} is one year older today.", "{A} wants to give {B} a {x}.",
             "At the market {s} finds a {c} {x}.|{S} makes a {c} {x}.", "{A} brings the {x} to the {p}.|",
             "{B} sees the {c} {x} and smiles.", '"What a lovely {x}," says {B}.', "They go to the {p} with the {x}.|"),
    "trade": ("{A} has {n} {fs}.", "{B} has a {c} {x}.", "{A} would like to have the {x}.",
              '"I give you my {fs} for your {x}," says {A}.', "{B} takes the {n} {fs} and {A} takes the {c} {x}.",
              "Now {B} eats {fs} at the {p}.|Now {A} has no {fs}.|"),
    "journey": ("{A} and {B} go to {l}.", "They cross the {p} and then the {q}.|Behind the {p} they meet a {an}.",
                "In {l} they see a {fc} flag.", "{fr} welcomes them.", "They eat {lf} and rest.|{B} eats {n} {lf}.",
                "At night {A} and {B} walk home past the {p}.|"),
    "weather": ("It is a {w} day at the {p}.", "{A} stays at home with a {c} {x}.|{A} goes out in a {c} coat.",
                "{B} comes by and asks for {A}.", '"Is it always {w} here?" asks {B}.', '"Only at the {p}," says {A}.',
                "They laugh about it.|{B} stays too.|"),
}  # fmt: skip
CHINESE = (
    "{p}很美。",
    "今天我们去{p}。",
    "我喜欢{c}色的{x}。",
    "你好，谢谢你。",
    "{p}在哪里？",
    "这是一个{c}色的{x}。",
)
CHINESE_WORDS = {
    "p": ("湖", "山", "河", "桥", "花园"),
    "c": ("红", "蓝", "绿", "白", "黑"),
    "x": ("风筝", "船", "灯", "书", "球"),
}


def story(pick):
    """One plot with its people, things and places filled in; | parts variants of a sentence, an empty one is none."""
    a, b = pick.sample(list(PEOPLE), 2)
    p, q = pick.sample(SPOTS, 2)
    land = pick.choice(LANDS)
    known = facts()[land]
    words = {"A": a, "B": b, "s": PEOPLE[a], "S": PEOPLE[a].capitalize(), "x": pick.choice(THINGS),
             "c": pick.choice(COLOURS),
             "p": p, "q": q, "n": pick.randint(2, 9), "fs": plural(pick.choice(FRUITS)), "l": land, "fc": known["flag"],
             "fr": known["ruler"], "lf": plural(known["fruit"]), "an": known["animal"],
             "w": pick.choice(("cold", "bright", "lovely", "dull"))}  # fmt: skip
    lines = (pick.choice(line.split("|")) for line in PLOTS[pick.choice(list(PLOTS))])
    return " ".join(line.format(**words) for line in lines if line)


def told_facts(pick):
    """What is known of one land, in some order and some words."""
    land = pick.choice(LANDS)
    kinds = pick.sample(list(KINDS), pick.randint(2, 4))
    return " ".join(pick.choice(tellings(land, kind, facts()[land][kind])) for kind in kinds)


def sums(pick):
    """A few sums, some of them written out."""
    lines = []
    for _ in range(pick.randint(2, 4)):
        low, high = pick.choice(((0, 9), (10, 99), (100, 999), (100, 999)))
        a, b = pick.randint(low, high), pick.randint(low, high)
        lines.append(f"{a}+{b}: {addition_steps(a, b)}." if pick.random() < 0.6 else f"{a}+{b}={a + b}.")
    return " ".join(lines)


def lists(pick):
    """Letters turned round, digits in order, letters counted, numbers compared."""
    item = pick.choice((tasks.reverse, tasks.sort, tasks.count, tasks.compare))(pick)
    body = item.prompt.rstrip(".?")
    return {"reverse": f"{body[8:]} turned round is {item.answer}.", "sort": f"{body[5:]} in order is {item.answer}.",
            "count": f"There are {item.answer} {body[9:].replace(' are in ', ' in ')}.",
            "compare": f"Of {body[17:].replace(' or ', ' and ')} the larger is {item.answer}."}[item.task]  # fmt: skip


def sayings(pick):
    """Sentences of every mood about one thing, and people being polite to each other."""
    noun, (a, b) = pick.choice(SPOTS + THINGS), pick.sample(list(PEOPLE), 2)
    if pick.random() < 0.5:
        return " ".join(manners.sentence(pick, pick.choice(list(manners.SENTENCES)), noun) for _ in range(3))
    return f'"Could you please bring me the {noun}?" asks {a}. "Gladly," says {b}. "Thank you." "You are welcome."'


def chinese(pick):
    """Two or three short sentences."""
    words = {key: pick.choice(values) for key, values in CHINESE_WORDS.items()}
    return "".join(pick.choice(CHINESE).format(**words) for _ in range(pick.randint(2, 3)))


MIXTURE = {story: 0.36, told_facts: 0.16, sums: 0.28, lists: 0.10, sayings: 0.07, chinese: 0.03}


def documents(n, seed):
    """n documents of the mixture."""
    pick = random.Random(derive(seed, "corpus"))
    makers, weights = zip(*MIXTURE.items())
    return [pick.choices(makers, weights)[0](pick) for _ in range(n)]
