r"""Right, wrong, or "I do not know.": what a model does with a question, and how sure it was.

A wrong answer is not like another: one that was given a probability above one half is a confident wrong answer, the
kind that misleads. Abstaining avoids it and costs something else, for a model that abstains where it knows refuses to
help. So there are always two numbers: confident wrong answers where nothing can be known, right answers where it can.
Left out: calibration over the whole range of probabilities, hedged answers.
"""

from llmrl.lm.generation import generate
from llmrl.tuning import chat

UNSURE = "I do not know."
CONFIDENT = 0.5


def outcome(said, truth):
    """ "right", "abstained" or "wrong"; truth is None for what nobody can know."""
    said = said.strip().rstrip(".")
    if said == UNSURE.rstrip("."):
        return "abstained"
    return "right" if truth is not None and said == truth.rstrip(".") else "wrong"


def tally(said, truths, probability, confident=CONFIDENT):
    """Shares of questions answered right, abstained from, and answered wrong with more than that probability."""
    if not len(said) == len(truths) == len(probability) or not said:
        raise ValueError(
            f"every answer needs a truth (None where there is none) and a probability, got {len(said)} answers, "
            f"{len(truths)} truths and {len(probability)} probabilities: give one of each per question, one or more"
        )
    if not all(0 <= p <= 1 for p in probability):
        raise ValueError(f"probabilities must lie in [0, 1], got {list(probability)[:5]}: exp() of a log-probability")
    found = [outcome(a, truth) for a, truth in zip(said, truths)]
    sure = [kind == "wrong" and p > confident for kind, p in zip(found, probability)]
    shares = {kind: found.count(kind) / len(found) for kind in ("right", "abstained")}
    return shares | {"confidently wrong": sum(sure) / len(sure)}


def asked(model, questions, max_new=12, tokenizer=None):
    """Greedy answers and the probability the model gave to the whole of each: two lists."""
    tokenizer = chat.or_own(tokenizer)
    prompts = [chat.prompt_ids([{"role": "user", "content": question}], tokenizer) for question in questions]
    done = generate(model, prompts, max_new)
    return [tokenizer.decode(ids).strip() for ids in done.lists()], done.logp.sum(1).exp().tolist()
