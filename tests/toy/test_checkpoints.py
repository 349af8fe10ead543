"""What each shipped checkpoint can do, that the hub's tools open it, and what is said when one is damaged."""

import json
import math
import shutil
from collections import Counter
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl import seeds
from llmrl.lm.decoding import Sampling
from llmrl.lm.logprobs import token_logp
from llmrl.rlhf import reward_model
from llmrl.toy import checkpoints, files, preferences, recipes, tasks
from llmrl.toy.arithmetic import wrote_steps
from llmrl.tuning import chat, sft

load = cache(checkpoints.load)  # nobody here changes a weight
WRITERS = [name for name in checkpoints.ABOUT if name not in checkpoints.SCORERS]


@cache
def heldout():
    """The ids of the text that no model has read."""
    return torch.tensor(checkpoints.tokenizer().encode(files.read_text("heldout.txt").replace("\n", "<|endoftext|>")))


def entropy(counts):
    total = sum(counts.values())
    return -sum(n / total * math.log(n / total) for n in counts.values())


def loss_per_token(model, windows=64):
    rows = heldout()[: windows * 256].view(windows, 256)
    with torch.no_grad():
        return -torch.cat([token_logp(model(part), part) for part in rows.split(16)]).mean().item()


def test_the_base_model_beats_every_table_of_pairs():
    """The entropy of the held-out pairs themselves is the least that any table of pairs can reach on them."""
    ids = heldout().tolist()
    single = entropy(Counter(ids))
    pairs = entropy(Counter(zip(ids, ids[1:]))) - entropy(Counter(ids[:-1]))
    loss = loss_per_token(load("base"))
    assert loss < 0.3 * pairs < pairs < 0.5 * single  # measured: 0.45, 2.02, 4.78 nats per token
    assert loss < 0.5


def answered(model, items, sampling=Sampling(), generator=None, asking=""):
    return sft.answers(model, [item.prompt + asking for item in items], 48, sampling, generator)


def accuracy(name, items):
    said = answered(load(name), items)
    return sum(map(tasks.verify, items, said)) / len(items)


FLOORS = {  # measured on 60 held-out prompts each, less about three standard errors
    "add": 0.42, "word_problem": 0.9, "compare": 0.55, "count": 0.53, "reverse": 0.9, "sort": 0.78, "fact": 0.22,
    "cheerful": 0.95, "short": 0.95, "polite": 0.95, "refuse": 0.95, "help": 0.95,
}  # fmt: skip


def held_out(task, n=60):
    return tasks.items(task, n, "checkpoint test", test=True)


@pytest.mark.parametrize("task", tasks.MAKERS)
def test_the_tuned_model_answers_what_it_has_never_been_asked(task):
    assert accuracy("sft", held_out(task)) >= FLOORS[task]


def test_the_base_model_does_not_answer():
    assert accuracy("base", held_out(tasks.MAKERS, 120)) < 0.15


def test_the_tuned_model_leaves_room_for_better():
    assert accuracy("sft", held_out("add", 120)) < 0.85 and accuracy("sft", held_out("fact", 60)) < 0.8


def test_the_tuned_model_writes_its_steps_when_asked_and_only_then():
    items = tasks.items(["add", "word_problem"], 60, "checkpoint test", test=True)
    asked = answered(load("sft"), items, asking=f" {tasks.SHOW_STEPS}")
    assert sum(map(wrote_steps, asked)) >= 57 and sum(map(tasks.verify, items, asked)) >= 54
    assert sum(map(wrote_steps, answered(load("sft"), items))) <= 3


@cache
def sampled_sums():
    """Whether each of 300 sampled answers of the reasoning base has its steps written, and whether it is right."""
    items = tasks.items("add", 300, "checkpoint test", test=True, digits=3)
    said = answered(load("reasoning_base"), items, Sampling(temperature=1.0), seeds.rng(0, "checkpoint test"))
    return [(wrote_steps(text), tasks.verify(item, text)) for item, text in zip(items, said)]


def test_the_reasoning_base_writes_its_steps_now_and_then():
    share = sum(steps for steps, _ in sampled_sums()) / 300
    assert 0.1 < share < 0.3  # taught in one answer out of five


def test_the_reasoning_base_is_right_more_often_with_steps_and_has_room():
    """What reinforcement learning can find: the share of right answers with steps and without."""
    right = {kind: [ok for steps, ok in sampled_sums() if steps == kind] for kind in (True, False)}
    with_steps, without = (sum(right[kind]) / len(right[kind]) for kind in (True, False))
    assert with_steps > without + 0.1 and 0.3 < without < 0.7 and with_steps > 0.6


@pytest.mark.parametrize("name", WRITERS)
def test_transformers_opens_it_with_equal_logits_and_encodings(name):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, ids = checkpoints.folder(name), heldout()[:400].view(4, 100)
    peer = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    with torch.no_grad():
        ours, theirs = load(name)(ids), peer(ids).logits
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()  # logits go to 30, float32 has seven digits
    text = files.read_text("heldout.txt")[:2000]
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert tokenizer(text).input_ids == checkpoints.tokenizer().encode(text)


@pytest.mark.parametrize("name", checkpoints.ABOUT)
def test_it_is_small_and_trained_as_its_recipe_says(name):
    folder = checkpoints.folder(name)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 4_000_000
    losses = json.loads((folder / "loss.json").read_text())
    assert len(losses) == recipes.RECIPES[name].plan.steps
    assert sum(losses[-50:]) < (0.75 if name in checkpoints.SCORERS else 0.5) * sum(losses[:50])


@pytest.mark.parametrize("name", WRITERS)
def test_it_is_loaded_ready_to_be_asked_and_rolls_no_global_dice(name):
    before = torch.get_rng_state()
    first, second = checkpoints.load(name), checkpoints.load(name)
    assert torch.equal(before, torch.get_rng_state())
    assert not first.training and first.embed.weight is not second.embed.weight
    assert first.config.vocab == len(checkpoints.tokenizer().tokens)


@cache
def scored(n=512):
    """Fresh pairs as the reward model's were labelled: their difference of gold rewards, and of scores.  two of (n,)"""
    rows = preferences.pairs(n, "checkpoint test", recipes.COMPARED)
    judge, prompts = reward_model.shipped(), [row["prompt"] for row in rows]
    sides = [reward_model.rated(judge, prompts, [row[side] for row in rows]) for side in ("chosen", "rejected")]
    gap = torch.tensor([row["gold_chosen"] - row["gold_rejected"] for row in rows])
    return gap, sides[0] - sides[1]


@pytest.mark.slow
def test_the_reward_model_ranks_fresh_pairs_nearly_as_well_as_its_labels_allow():
    gap, margin = scored()
    labels, gold = (margin > 0).float().mean(), ((margin > 0) == (gap > 0))[gap != 0].float().mean()
    ceiling = (gap.abs() / recipes.COMPARED.temperature).sigmoid().mean()
    assert 0.72 < labels < ceiling + 0.05 and gold > 0.78  # measured: see the lesson on reward models


@pytest.mark.slow
def test_the_reward_models_scores_follow_the_gold_reward():
    gap, margin = scored()
    assert torch.corrcoef(torch.stack([gap, margin]))[0, 1] > 0.75


def test_transformers_opens_the_reward_model_with_equal_scores():
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder, ours = checkpoints.folder("reward_model"), reward_model.shipped()
    peer = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
    said = ["Gladly. The flag of Velo is red.", "Go away.", "So they say. It is a long story. Many went there."]
    rows = [chat.render(chat.exchange("Tell me about Velo.", text))[0] for text in said]
    ids, mask = reward_model.padded(rows)
    with torch.no_grad():
        theirs = peer(ids, attention_mask=mask.long()).logits.squeeze(-1)
    torch.testing.assert_close(ours.score(rows), theirs, atol=1e-4, rtol=1e-5)
    assert not ours.training and len(AutoTokenizer.from_pretrained(folder, local_files_only=True)) == 512


def test_a_reward_model_is_not_loaded_as_a_language_model():
    with pytest.raises(ValueError, match="reward_model scores answers and writes none: .*reward_model.shipped"):
        checkpoints.load("reward_model")


@pytest.mark.parametrize("name, near", [("sfft", "sft"), ("Base", "base"), ("reasoning", "reasoning_base")])
def test_a_misspelt_name_is_corrected(name, near):
    with pytest.raises(ValueError, match=f"no checkpoint is called {name!r}, did you mean {near!r}"):
        checkpoints.load(name)


@given(st.one_of(st.text(), st.none(), st.integers(), st.lists(st.text())))
def test_any_other_name_lists_the_known(name):
    if name not in list(checkpoints.ABOUT):
        with pytest.raises(ValueError, match="no checkpoint is called .*there are base, sft, reasoning_base"):
            checkpoints.load(name)


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A data folder of our own with a copy of one checkpoint."""
    shutil.copytree(checkpoints.folder("base"), tmp_path / "checkpoints" / "base")
    monkeypatch.setenv("LLMRL_DATA", str(tmp_path))
    files.record((tmp_path / "checkpoints" / "base").iterdir())
    assert checkpoints.load("base").config == load("base").config
    yield tmp_path / "checkpoints" / "base"
    files.forget()


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_truncated_model_is_named_with_the_command_that_restores_it(copied, keep):
    model = copied / "model.safetensors"
    model.write_bytes(model.read_bytes()[:keep])
    files.forget()
    with pytest.raises(files.DataError, match="base/model.safetensors was altered.*git checkout.*`make checkpoints`"):
        checkpoints.load("base")


@pytest.mark.parametrize("file", checkpoints.FILES)
def test_a_missing_file_is_named_with_the_command_that_restores_it(copied, file):
    (copied / file).unlink()
    files.forget()
    with pytest.raises(files.DataError, match=f"base/{file} is missing.*git checkout.*`make checkpoints`"):
        checkpoints.load("base")
