r"""Beam search over steps: draw a few next steps, keep the ones a verifier likes, go on from there.

Best-of-N judges whole answers, so one wrong step spoils all that comes after it. Here every beginning that is kept is
continued `draws` times to the end of its next step, all of them are judged, and the `width` best stay, the likelier
first among equals. A mistake costs one step and not the rest of the answer. What a search costs is counted in tokens
that were generated.
Left out: the time the verifier takes.

Shapes: P prompts.
"""

from dataclasses import dataclass

from llmrl.lm.generation import Sampling, generate
from llmrl.reasoning.step_tree import marks
from llmrl.toy import checkpoints


@dataclass(frozen=True)
class StepPlan:
    """How wide a search is."""

    width: int = 1  # beginnings that are kept
    draws: int = 4  # continuations of each
    steps: int = 8  # in a solution at most
    longest: int = 16  # tokens in a step at most

    def __post_init__(self):
        for name in ("width", "draws", "steps", "longest"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(
                    f"{name} must be a whole number of at least 1, got {number!r}: a search of 0 finds none"
                )


@dataclass(frozen=True)
class Begun:
    """A solution begun, or finished."""

    ids: tuple = ()
    score: float = 0.0
    logp: float = 0.0
    done: bool = False


def step_beam(model, prompts, judge, plan=StepPlan(), sampling=Sampling(temperature=1.0), generator=None):
    """The best solution found for every prompt, as text, and the tokens that were generated for it.

    prompts: lists of ids; judge(place, text) -> how good a solution to prompt number `place` is so far
    """
    tokenizer, kept, spent = checkpoints.tokenizer(), [[Begun()] for _ in prompts], [0] * len(prompts)
    for _ in range(plan.steps):
        asked = [(p, begun) for p, row in enumerate(kept) for begun in row if not begun.done for _ in range(plan.draws)]
        if not asked:
            break
        drawn = generate(
            model, [prompts[p] + list(begun.ids) for p, begun in asked], plan.longest, sampling,
            stop=tuple(marks(tokenizer)), generator=generator,
        )  # fmt: skip
        found = [[begun for begun in row if begun.done] for row in kept]
        logps = drawn.logp.sum(1).tolist()
        for (p, begun), ids, said, logp in zip(asked, drawn.ids.tolist(), drawn.mask.sum(1).tolist(), logps):
            spent[p] += said
            longer = begun.ids + tuple(ids[:said])
            done = longer[-1] == tokenizer.im_end_id
            score = float(judge(p, tokenizer.decode(longer[:-1] if done else longer)))
            found[p].append(Begun(longer, score, begun.logp + logp, done))
        kept = [best_of(row, plan.width) for row in found]
    best = [max(row, key=lambda b: (b.done, b.score, b.logp)) for row in kept]
    return [tokenizer.decode([i for i in b.ids if i != tokenizer.im_end_id]).strip() for b in best], spent


def best_of(begun, width):
    """The `width` best of different beginnings: by their score, and the likelier first where scores are equal."""
    different = {b.ids: b for b in begun}.values()
    return sorted(different, key=lambda b: (-b.score, -b.logp))[:width]
