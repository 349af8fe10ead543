r"""A bigger model, or more samples of a smaller one: what either buys on the same sums.

Four models of two layers learn written addition from nothing, all from the same batches, and stop when the largest is
nearly perfect and the smallest is not. Then each draws many solutions to sums it has not seen. What is kept is which
were right, what was answered, and how many tokens it took, so that any choice among the samples can be computed
afterwards. A token costs two operations per parameter (Kaplan et al. 2020, arXiv:2001.08361), so samples of
different models can be compared by what they cost.
Left out: the cost of training, and of reading the question.
"""

import json
from functools import partial

from safetensors.torch import load_file, save_file

from llmrl import seeds
from llmrl.lm.generation import Sampling, generate
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.size import parameters
from llmrl.lm.training import Plan, sample_batches, train
from llmrl.reasoning.verifiers import step_verdicts
from llmrl.studies.kept import rounded
from llmrl.toy import checkpoints, files, tasks
from llmrl.toy.arithmetic import last_number
from llmrl.toy.make import SEED
from llmrl.tuning import chat, sft

WIDTHS = (48, 56, 64, 80)
STEPS, BATCH, SUMS = 700, 64, 44_000
QUESTIONS, SAMPLES, LIMIT = 96, 64, 40
SHIPPED = (48, 64)  # whose weights a lesson needs


def config(width):
    """Two layers of one width."""
    return Config(width=width, layers=2, heads=4, kv_heads=2, ffn=width * 11 // 4 // 8 * 8, context=128)


def questions(n=QUESTIONS, seed=SEED):
    """Sums that no model was trained on: a third each of one, two and three digits."""
    return [item for d in (1, 2, 3) for item in tasks.items("add", n // 3, f"{seed} compute", test=True, digits=d)]


def trained(width, file):
    """Train one model on written sums of one to three digits and leave its weights in a file -> its losses."""
    talks = [item.messages(unasked=True) for item in tasks.items("add", SUMS, f"{SEED} compute")]
    batch = sample_batches(sft.samples(talks), BATCH, lambda step: seeds.rng(SEED, "compute", step))
    model = TinyLM(config(width), seeds.rng(SEED, "compute", width))
    plan = Plan(steps=STEPS, lr=0.32 / width, warmup=50, final=0.02)
    losses = [record["loss"] for record in train(model, batch, plan, loss=sft.learned_loss)]
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.half() for name, weight in model.state_dict().items()}, file)
    return losses[::25]


def read(width, file):
    """A model from its weights in half precision."""
    model = TinyLM(config(width))
    model.load_state_dict({name: weight.float() for name, weight in load_file(file).items()})
    return model.eval()


def load(width):
    """A shipped model of the family, ready to be asked."""
    if width not in SHIPPED:
        raise ValueError(f"the weights of width {width!r} are not shipped: there are {', '.join(map(str, SHIPPED))}")
    return read(width, files.path(f"studies/compute.{width}.safetensors"))


def sampled(model, items, samples, generator):
    """What a model answers, each (P, N): right, the numbers, tokens, if every step is true, the log-probability."""
    tokenizer = checkpoints.tokenizer()
    prompts = [chat.prompt_ids(item.messages()[:1], tokenizer) for item in items for _ in range(samples)]
    said = generate(model, prompts, LIMIT, Sampling(temperature=1.0), generator=generator)
    texts = [tokenizer.decode(ids).strip() for ids in said.lists()]
    asked = [item for item in items for _ in range(samples)]
    numbers = [last_number(t) for t in texts]
    rows = {
        "right": [int(tasks.verify(item, t)) for item, t in zip(asked, texts)],
        "number": [-1 if n is None else min(n, 10**9) for n in numbers],
        "tokens": said.mask.sum(1).tolist(),
        "true_steps": [int(all(step_verdicts(t)) and bool(step_verdicts(t))) for t in texts],
        "logp": said.logp.sum(1).tolist(),
    }
    return {name: [row[i : i + samples] for i in range(0, len(row), samples)] for name, row in rows.items()}


def measured(width, file):
    """The samples of one model, without their log-probabilities."""
    rows = sampled(read(width, file), questions(), SAMPLES, seeds.rng(SEED, "compute", "samples", width))
    return {name: row for name, row in rows.items() if name != "logp"}


def make(kept):
    """studies/compute.json: what each width costs and answered; the weights of some."""
    found = {}
    for width in WIDTHS:
        file = kept.file(f"{width}.safetensors")
        losses = kept(f"losses {width}", partial(trained, width, file))
        found[width] = {"parameters": sum(parameters(config(width)).values()), "losses": losses}
        found[width] |= kept(f"mixed samples {width}", partial(measured, width, file))
    for width in SHIPPED:
        files.ship(f"studies/compute.{width}.safetensors", kept.file(f"{width}.safetensors").read_bytes())
    files.ship("studies/compute.json", json.dumps(rounded(found)) + "\n")
