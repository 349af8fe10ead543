r"""Verifiable rewards: rules that judge an answer, ready for reinforcement learning.

Where a rule is exact nobody has to be asked and nothing has to be learned before training starts. A rule takes an item
and the text of an answer and returns a number: is it right (`accuracy`), nearly right (`nearly`, a rule with a hole),
well-formed (`form`), short (`brevity`); `total` weighs several. `game` makes of a rule what `policy.group.train` asks
for, and says what an answer without an end earns and what happens when a rule fails.
Left out: answers that are equal without looking equal (1/2 and 0.5), and rules that run code.
"""

import random
import re

from llmrl.seeds import derive
from llmrl.toy import checkpoints, tasks
from llmrl.toy.arithmetic import addition_steps, last_number
from llmrl.tuning import chat

STEP = re.compile(r"\d(?:\+\d)+=\d{1,2}")  # one column: 4+8+1=13
FORM = re.compile(rf"(?:{STEP.pattern}, )+so \d+")


def sums(n, digits, seed, test=False):
    """n sums of numbers with digits[0] and digits[1] digits, for training or from the held-out tenth."""
    if not isinstance(n, int) or n < 1 or len(digits) != 2 or not all(d in range(1, 10) for d in digits):
        raise ValueError(f"sums need n of at least 1 and two numbers of digits from 1 to 9, got {n!r} and {digits!r}")
    pick, found = random.Random(derive(seed, "sums", *digits, test)), []
    while len(found) < n:
        a, b = (pick.randint(10 ** (d - 1), 10**d - 1) for d in digits)
        prompt = f"What is {a}+{b}?"
        if tasks.held_out(prompt) == test:
            found.append(tasks.Item("add", prompt, str(a + b), addition_steps(a, b)))
    return found


def accuracy(item, text):
    """1 for a right answer, by the task's own exact rule; a sum is judged by the last number written."""
    return float(tasks.verify(item, text))


def nearly(item, text, tolerance=0.1):
    """1 where the last number misses the right one by no more than a tenth: a rule with a hole."""
    number = last_number(text)
    return float(number is not None and abs(number - int(item.answer)) <= tolerance * int(item.answer))


def form(item, text):
    """1 for columns such as 4+8+1=13, each with a comma, then 'so' and a number; whether they are true is not asked."""
    return float(FORM.fullmatch(text.strip()) is not None)


def brevity(item, text, limit=48):
    """1 for silence, 0 from so many characters on."""
    return max(0.0, 1 - len(text.strip()) / limit)


def total(weights):
    """A rule from others and their weights: the weighted sum.  {rule: weight} -> rule"""
    return lambda item, text: sum(weight * rule(item, text) for rule, weight in weights.items())


def rewarded(reward, item, text, failed=None):
    """What a rule says; where it raises, what failed says, or a clear error if that is None."""
    try:
        return float(reward(item, text))
    except Exception as error:
        if failed is None:
            raise ValueError(
                f"the reward raised {type(error).__name__} ({error}) on the answer {text[:60]!r} to "
                f"{item.prompt[:60]!r}: mend it, or say what such an answer earns, failed=0.0 for example"
            ) from error
        return float(failed)


def game(items_at, reward=tasks.verify, tokenizer=None, limit=None, failed=None):
    """The `ask` of policy.group.train: items_at(step) -> items; reward(item, text) judges each answer.

    With limit, the max_new of the run, an answer of that many tokens has not ended and earns 0 whatever it says.
    """
    tokenizer = tokenizer or checkpoints.tokenizer()

    def ask(step):
        items = items_at(step)

        def earned(item, answer):
            cut = limit is not None and len(answer) >= limit
            return 0.0 if cut else rewarded(reward, item, tokenizer.decode(answer), failed)

        def judge(answers):
            return [[earned(item, answer) for answer in group] for item, group in zip(items, answers)]

        return [chat.prompt_ids(item.messages()[:1], tokenizer) for item in items], judge

    return ask
