r"""Gold rewards, and pairs of answers labelled by them: preferences whose truth is known.

The gold reward of an answer to "Tell me about Velo." adds four parts: correct (true facts less false ones), polite,
brief, harmless in manner and form. A label then says which of two answers is better, with three faults that can be
turned up: noise (a label flipped at random), a liking for length, and annotators of different tastes.
$P(a \succ b)=\sigma\big((r_a-r_b)/\tau+\lambda(\ell_a-\ell_b)\big)$, or the sign of that for $\tau=0$.
Left out: ties, and preferences that run in circles.
"""

import math
import random
import re
from dataclasses import dataclass

from llmrl.seeds import derive
from llmrl.toy import telling
from llmrl.toy.facts import judge
from llmrl.toy.manners import has
from llmrl.toy.words import POLITE, RUDE

KNOWN = {*telling.POLITE_OPENERS, *telling.RUDE_OPENERS, *telling.CHATTER, *telling.POLITE_CLOSERS}


@dataclass(frozen=True)
class Taste:
    """What an annotator values; the course's gold reward is the default."""

    correct: float = 0.5  # per true fact, up to two; minus per false one
    polite: float = 1.5  # once
    rude: float = 1.5  # taken off, once
    words: float = 0.02  # taken off per word beyond `enough`
    enough: int = 15
    form: float = 0.5  # taken off per sentence that the grammar does not know, or that says something again


def parts(prompt, response, taste=Taste()):
    """The gold reward term by term, as a dict: correct, polite, brief, form."""
    sentences = re.findall(r"[^.?]+[.?]?", response.strip())
    sentences = [s.strip() for s in sentences if s.strip()]
    land, said = telling.subject(prompt), list(dict.fromkeys(sentences))
    verdicts = [judge(s) for s in said if land and land in s]
    strange = sum(judge(s) is None and s not in KNOWN for s in sentences) + len(sentences) - len(said)
    return {
        "correct": taste.correct * (min(verdicts.count(True), 2) - verdicts.count(False)),
        "polite": taste.polite * any(has(s, POLITE) for s in said if s in KNOWN) - taste.rude * has(response, RUDE),
        "brief": -taste.words * max(0, len(response.split()) - taste.enough),
        "form": -taste.form * (strange if sentences else 2),
    }


def gold(prompt, response, taste=Taste()):
    """The gold reward of one response."""
    return sum(parts(prompt, response, taste).values())


@dataclass(frozen=True)
class Labels:
    """How labels are made from rewards: temperature, length bias per word, share flipped, spread of tastes."""

    temperature: float = 0.0
    length_bias: float = 0.0
    noise: float = 0.0
    disagreement: float = 0.0  # each label's annotator scales every weight by exp(disagreement * normal)

    def __post_init__(self):
        if not (0 <= self.noise <= 1 and 0 <= self.temperature < math.inf and 0 <= self.disagreement < math.inf):
            raise ValueError(f"noise must be in [0, 1], temperature and disagreement at least 0 and finite, got {self}")
        if not math.isfinite(self.length_bias):
            raise ValueError(f"length_bias must be a number, got {self.length_bias}: 0 does not look at the length")


def prefers_first(pick, prompt, first, second, labels=Labels()):
    """Whether one annotator prefers the first of two answers."""
    taste = _annotator(pick, labels.disagreement)
    margin = gold(prompt, first, taste) - gold(prompt, second, taste)
    margin += labels.length_bias * (len(first.split()) - len(second.split()))
    if labels.temperature > 0:
        better = pick.random() < 1 / (1 + math.exp(-max(-60, min(60, margin / labels.temperature))))
    else:
        better = margin > 0 if margin else pick.random() < 0.5
    return better != (pick.random() < labels.noise)


def _annotator(pick, disagreement):
    if not disagreement:
        return Taste()
    scaled = {name: getattr(Taste(), name) * math.exp(disagreement * pick.gauss(0, 1))
              for name in ("correct", "polite", "rude", "words", "form")}  # fmt: skip
    return Taste(**scaled)


def label(pick, prompt, first, second, labels=Labels()):
    """A preference row: prompt, chosen, rejected and the gold reward of both."""
    if first == second:
        raise ValueError(f"two different answers are needed to prefer one, got {first!r} twice: draw another")
    chosen, rejected = (first, second) if prefers_first(pick, prompt, first, second, labels) else (second, first)
    golds = {"gold_chosen": round(gold(prompt, chosen), 6), "gold_rejected": round(gold(prompt, rejected), 6)}
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **golds}


def pairs(n, seed, labels=Labels(), crowd=telling.Crowd()):
    """n labelled pairs of different answers, drawn from the crowd."""
    pick, found = random.Random(derive(seed, "pairs")), []
    while len(found) < n:
        prompt = telling.question(pick)
        first, second = (telling.answer(pick, telling.subject(prompt), crowd) for _ in range(2))
        if first != second:
            found.append(label(pick, prompt, first, second, labels))
    return found
