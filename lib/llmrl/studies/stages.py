"""One small model through the stages of a real run: pre-training, mid-training, annealing, a first post-training step.

Pre-training reads short windows of mostly stories, half of them carelessly typed. Mid-training goes on at the same
learning rate with windows four times as long and another mixture: sums, facts, and stories that are told twice, from
which only a model that looks far back could profit. Annealing takes the learning rate to zero on clean text.
Post-training answers questions. Beside the main line run the branches that a claim needs: no mid-training, only its
windows, only its mixture, and annealing with only the decay, only the clean text, or neither.
Left out: tuning the mixtures, and every stage's length.
"""

import copy
import json
import random
from dataclasses import dataclass, replace
from functools import partial

import torch
from safetensors.torch import load, save, save_file

from llmrl.lm.generation import PAD
from llmrl.lm.logprobs import masked_mean, token_logp
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.training import Plan, adamw, learning_rate, pad, text_batches, train
from llmrl.seeds import derive, rng
from llmrl.toy import checkpoints, corpus, files, tasks
from llmrl.toy.make import SEED
from llmrl.tuning import sft

ASKED = ("fact", "add")
SHAPE = Config(width=64, layers=2, heads=4, kv_heads=2, ffn=176, context=256)
TOKENS, RATE, EVERY = 1024, 4e-3, 50  # of a step, of the optimizer at its highest, steps between measurements
SEEDS = 3


@dataclass(frozen=True)
class Stage:
    """What is read, for how long, and how fast."""

    name: str
    steps: int
    length: int
    mixture: dict  # domain: share of the documents
    careless: float = 0.0  # share of documents typed carelessly
    warmup: int = 0
    final: float = 1.0  # share of the learning rate at the end


def retold(pick):
    """A story, told twice: whoever looks back far enough knows the second telling by heart."""
    told = corpus.story(pick)
    return f"{told} Once more. {told}"


DOMAINS = {"stories": corpus.story, "facts": corpus.told_facts, "sums": corpus.sums, "retold": retold}
WEB = {"stories": 0.8, "facts": 0.1, "sums": 0.1}
SKILLS = {"stories": 0.2, "facts": 0.2, "sums": 0.4, "retold": 0.2}
PRE = Stage("pre-training", 500, 64, WEB, careless=0.5, warmup=40)
MID = Stage("mid-training", 300, 256, SKILLS, careless=0.5)
ANNEAL = Stage("annealing", 150, 256, SKILLS, final=0.0)
ASK = Plan(steps=150, lr=2e-3, warmup=15, final=0.0)


def carelessly(pick, text):
    """The text with one character in twenty swapped with the next."""
    characters = list(text)
    for i in range(len(characters) - 1):
        if pick.random() < 0.05:
            characters[i], characters[i + 1] = characters[i + 1], characters[i]
    return "".join(characters)


def documents(stage, seed, n):
    """n documents of a stage's mixture."""
    pick = random.Random(derive(SEED, "stages", stage.name, seed))
    names, shares = zip(*stage.mixture.items())
    found = [DOMAINS[pick.choices(names, shares)[0]](pick) for _ in range(n)]
    return [carelessly(pick, text) if pick.random() < stage.careless else text for text in found]


def reading(stage, seed):
    """The batches of a stage: windows of its text."""
    text = "<|endoftext|>".join(documents(stage, seed, stage.steps * TOKENS // 60))
    ids = checkpoints.tokenizer().encode(text)
    return text_batches(ids, TOKENS // stage.length, stage.length, lambda step: rng(SEED, stage.name, seed, step))


def held_out(domain, n=64):
    """Clean documents nobody trains on, and which of their tokens count: all, or the second telling's.  -> ids, mask"""
    pick = random.Random(derive(SEED, "stages", "held out", domain))
    texts = [DOMAINS[domain](pick) for _ in range(n)]
    return _rows(
        [(f"{text.split(' Once more. ')[0]} Once more." if domain == "retold" else "", text) for text in texts]
    )


def in_second_place(n=64):
    """The second tellings of held_out("retold"), each behind another story instead of its own.  -> ids, mask"""
    pick = random.Random(derive(SEED, "stages", "held out", "retold"))
    told = [corpus.story(pick) for _ in range(n)]
    firsts = [f"{story}<|endoftext|>" for story in (*told[1:], told[0])]
    return _rows([(first, first + story) for first, story in zip(firsts, told)])


def _rows(texts):
    """Texts as ids, and a mask over what comes after the part that does not count.  [(part, text)] -> ids, mask"""
    encode = checkpoints.tokenizer().encode
    ids = pad([encode(f"<|endoftext|>{text}")[: SHAPE.context] for _, text in texts], PAD)
    start = torch.tensor([len(encode(f"<|endoftext|>{part}")) if part else 0 for part, _ in texts])
    return ids, (ids != PAD) & (torch.arange(ids.shape[1]) >= start[:, None])


@torch.no_grad()
def losses(model):
    """Held-out loss of every domain, and of stories behind another story, in nats per token."""
    texts = {domain: held_out(domain) for domain in DOMAINS} | {"behind another": in_second_place()}
    return {
        name: round(-masked_mean(token_logp(model(ids), ids), mask[:, 1:]).item(), 4)
        for name, (ids, mask) in texts.items()
    }


def follow(model, optimizer, stage, seed):
    """Train through one stage; the losses of every domain now and then, the last entry at its end."""
    plan = Plan(stage.steps, RATE, stage.warmup, stage.final)
    for record in train(model, reading(stage, seed), plan, optimizer):
        if (record["step"] + 1) % EVERY == 0:
            yield {"stage": stage.name, "step": record["step"] + 1, "lr": record["lr"], **losses(model)}


def branch(model, optimizer, stage, seed):
    """What a stage would have led to, on copies: the losses at its end."""
    model, optimizer = copy.deepcopy((model, optimizer))
    *_, last = follow(model, optimizer, stage, seed)
    return last


def asked(n, test):
    """Questions about facts and sums, the sums with their steps, as (item, messages)."""
    items = tasks.items(ASKED, n, f"{SEED} stages", test=test)
    return [(item, item.messages(steps=bool(item.steps))) for item in items]


def answered(model, n=100):
    """The share of right answers per task, to prompts that nobody trains on."""
    questions = asked(n, test=True)
    said = sft.answers(model, [messages[0]["content"] for _, messages in questions])
    right = [(item.task, tasks.verify(item, response)) for (item, _), response in zip(questions, said)]
    return {task: sum(ok for name, ok in right if name == task) * len(ASKED) / n for task in ASKED}


def ask(model, seed):
    """The first post-training step: tune on answers."""
    talks = [messages for _, messages in asked(4000, test=False)]
    for record in sft.tune(model, talks, ASK, batch=24, seed=f"{SEED} stages {seed}"):
        if (record["step"] + 1) % EVERY == 0:
            yield {"stage": "post-training", "step": record["step"] + 1, "lr": record["lr"], **losses(model)}


def one(seed, keep):
    """All stages and branches of one seed; keep(name, model) is called at the end of each stage."""
    model = TinyLM(SHAPE, rng(SEED, "stages", seed))
    optimizer, branches = adamw(model, RATE, 0.1), {}
    line = [{"stage": "start", "step": 0, "lr": 0.0, **losses(model)}]
    line += follow(model, optimizer, PRE, seed)
    keep("pre-training", model)
    more = replace(PRE, name="more of the same", steps=MID.steps, warmup=0)
    branches["no mid-training"] = branch(model, optimizer, more, seed)
    branches["only its windows"] = branch(model, optimizer, replace(more, length=MID.length), seed)
    branches["only its mixture"] = branch(model, optimizer, replace(MID, length=PRE.length), seed)
    line += follow(model, optimizer, MID, seed)
    keep("mid-training", model)
    for final in (1.0, 0.0):
        for careless in (0.5, 0.0):
            name = f"{'decay' if final == 0 else 'constant'}, {'clean' if careless == 0 else 'careless'}"
            branches[name] = branch(model, optimizer, replace(ANNEAL, final=final, careless=careless), seed)
    line += follow(model, optimizer, ANNEAL, seed)
    keep("annealing", model)
    before = answered(model)
    line += ask(model, seed)
    keep("post-training", model)
    return {"line": line, "branches": branches, "right": {"before": before, "after": answered(model)}}


def make(kept):
    """Three seeds, and the models of the first at the end of each stage, in half precision."""

    def keep(name, model, seed):
        if seed == 0:
            weights = {f"{name}.{key}": value.half() for key, value in model.state_dict().items()}
            save_file(weights, kept.file(f"{name}.safetensors"))

    seeds = [kept(f"seed {seed}", partial(one, seed, partial(keep, seed=seed))) for seed in range(SEEDS)]
    stages = {}
    for name in ("pre-training", "mid-training", "annealing", "post-training"):
        stages |= load(kept.file(f"{name}.safetensors").read_bytes())
    files.ship("studies/stages.safetensors", save(stages))
    files.ship("studies/stages.json", json.dumps({"seeds": seeds}, indent=1) + "\n")


def model_after(name):
    """The shipped model at the end of a stage."""
    stored = load(files.path("studies/stages.safetensors").read_bytes())
    model = TinyLM(SHAPE)
    model.load_state_dict(
        {key.removeprefix(f"{name}."): x.float() for key, x in stored.items() if key.startswith(name)}
    )
    return model.eval()


def rates():
    """The learning rate of every step of the main line."""
    plans = [Plan(stage.steps, RATE, stage.warmup, stage.final) for stage in (PRE, MID, ANNEAL)]
    return [learning_rate(step, plan) for plan in (*plans, ASK) for step in range(plan.steps)]


def draw_mixture(ax, edges, colours):
    """What each stage reads, as stacked shares over its stretch of the timeline.  edges: where stages begin and end"""
    for stage, left, right in zip((PRE, MID, ANNEAL), edges, edges[1:]):
        bottom = 0
        for domain, share in stage.mixture.items():
            hatch = "//" if stage.careless else None
            place = (left + right) / 2
            ax.bar(place, 100 * share, right - left, bottom, color=colours[domain], ec="white", hatch=hatch)
            bottom += 100 * share
    ax.text((edges[3] + edges[4]) / 2, 50, "answers", ha="center", va="center")
    return ax
