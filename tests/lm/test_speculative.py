"""Speculative decoding keeps the target's distribution: by exact enumeration, on a grid of dice, and against peers."""

from collections import Counter
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import SMALL, lively, some_ids

from llmrl.lm.decoding import Sampling
from llmrl.lm.drafts import LookupDraft, ModelDraft, TableDraft, followed
from llmrl.lm.generation import generate
from llmrl.lm.model import Config
from llmrl.lm.reader import Reader
from llmrl.lm.speculative import acceptance, keeping, residual, speculate, tokens_per_pass, verify
from llmrl.seeds import rng

TARGET, SMALLER = lively(), lively(Config(vocab=40, width=8, layers=1, heads=2, kv_heads=1, ffn=12, context=32), 1)
PROMPT = some_ids(1, 6)[0].tolist()
HOT = Sampling(temperature=1.3, top_k=20, top_p=0.95)
V, G = 3, 2


def table(name, *context):
    """A next-token distribution that depends on the whole context."""
    return torch.rand(V, generator=rng(0, name, context), dtype=torch.double).pow(2).softmax(-1)


def drafts():
    """Every draft of G tokens with its probability, the draft's distributions, and the target's."""
    for guesses in product(range(V), repeat=G):
        q = torch.stack([table("draft", *guesses[:i]) for i in range(G)])
        p = torch.stack([table("target", *guesses[:i]) for i in range(G + 1)])
        yield guesses, float(q[range(G), guesses].prod()), p, q


def outcomes(guesses, chance, p, q, repair=residual, keep=keeping):
    """All that a round can say after these guesses, with the probability of each."""
    for i, guess in enumerate(guesses):
        kept = float(keep(p[i], q[i])[guess])
        yield from (((*guesses[:i], v), chance * (1 - kept) * c) for v, c in enumerate(repair(p[i], q[i]).tolist()))
        chance *= kept
    yield from (((*guesses, v), chance * c) for v, c in enumerate(p[-1].tolist()))


def emitted(**rules):
    """The exact distribution of what one round says."""
    share = Counter()
    for draft in drafts():
        for said, chance in outcomes(*draft, **rules):
            share[said] += chance
    return share


def completed(share):
    """The distribution of the first G + 1 tokens when shorter rounds are continued by the target."""
    whole = Counter()
    for said, chance in share.items():
        for more in product(range(V), repeat=G + 1 - len(said)):
            text, rest = (*said, *more), chance
            for i in range(len(said), G + 1):
                rest *= float(table("target", *text[:i])[text[i]])
            whole[text] += rest
    return whole


def by_target():
    texts = product(range(V), repeat=G + 1)
    return {t: float(torch.stack([table("target", *t[:i])[t[i]] for i in range(G + 1)]).prod()) for t in texts}


def gap(share):
    return max(abs(chance - completed(share)[text]) for text, chance in by_target().items())


def test_all_outcomes_add_up_to_the_target():
    assert sum(emitted().values()) == pytest.approx(1, abs=1e-12)
    assert gap(emitted()) < 1e-12


def test_plausible_wrong_rules_do_not():
    assert gap(emitted(repair=lambda p, q: p)) > 1e-3, "drawing anew from the target counts its favourites twice"
    assert gap(emitted(keep=lambda p, q: p)) > 1e-3, "keeping with probability p forgets how often it was guessed"
    assert gap(emitted(keep=lambda p, q: (p >= q).double())) > 1e-3, "keeping only what the target likes better"


def test_the_code_that_runs_gives_those_outcomes():
    """verify itself, on an even grid of dice: its frequencies are the exact ones to the width of the grid."""
    n, (guesses, _, p, q), seen, exact = 16, list(drafts())[1], Counter(), Counter()
    for dice in (torch.cartesian_prod(*[torch.arange(n).double()] * (G + 1)) + 0.5) / n:
        seen[tuple(verify(p, q, list(guesses), dice))] += 1 / n ** (G + 1)
    for said, chance in outcomes(guesses, 1.0, p, q):
        exact[said] += chance
    assert set(seen) == {said for said, chance in exact.items() if chance > 0}
    assert max(abs(seen[said] - exact[said]) for said in exact) < 1 / n


WEIGHTS = st.lists(st.sampled_from([0.0, 1e-12, 0.2, 1.0, 3.0]), min_size=4, max_size=4).filter(lambda w: sum(w) > 0)


@given(WEIGHTS, WEIGHTS)
def test_one_step_is_lossless_for_any_two_distributions(a, b):
    p, q = (torch.tensor(w, dtype=torch.double) / sum(w) for w in (a, b))
    kept = q * keeping(p, q)
    torch.testing.assert_close(kept + (1 - kept.sum()) * residual(p, q), p, atol=1e-12, rtol=0)
    assert kept.sum() == pytest.approx(float(acceptance(p, q)), abs=1e-12)
    assert float(acceptance(p, q)) == pytest.approx(1 - float((p - q).abs().sum()) / 2, abs=1e-12)


def test_tokens_per_pass_is_the_mean_of_a_simulation():
    kept = torch.rand(200_000, 4, generator=rng(0)) < 0.7
    assert tokens_per_pass(0.7, 4) == pytest.approx(float(kept.cumprod(1).sum(1).float().mean()) + 1, abs=0.02)
    assert tokens_per_pass(0.7, 4) == pytest.approx((1 - 0.7**5) / 0.3)
    assert (tokens_per_pass(0.0, 4), tokens_per_pass(1.0, 4)) == (1, 5)


def every_draft():
    yield ModelDraft(SMALLER)
    yield ModelDraft(TARGET)
    yield LookupDraft(3, 40)
    yield TableDraft(some_ids(1, 300)[0].tolist(), 2, 40)


@pytest.mark.parametrize("ahead", [1, 3, 7])
def test_greedy_tokens_are_those_of_greedy_decoding(ahead):
    plain = generate(TARGET, [PROMPT], 20, stop=()).ids[0].tolist()
    for draft in every_draft():
        for _ in range(2):  # the second time the draft has a memory to go back in
            out = speculate(TARGET, draft, PROMPT, 20, ahead)
            assert out.ids == plain
            assert sum(kept + 1 for _, kept in out.rounds) == 20


def test_a_draft_that_is_the_target_is_always_kept():
    for sampling in (Sampling(), HOT):
        out = speculate(TARGET, ModelDraft(TARGET), PROMPT, 20, 4, sampling, rng(0))
        assert out.kept == 1 and out.per_pass == 5


def test_the_target_reads_each_token_once():
    read = []
    hook = TARGET.embed.register_forward_hook(lambda module, inputs, out: read.append(inputs[0].shape[1]))
    out = speculate(TARGET, ModelDraft(SMALLER), PROMPT, 15, 3)
    hook.remove()
    first, *later = out.rounds
    assert read == [len(PROMPT) + first[0], *[1 + made for made, _ in later]]


@pytest.mark.slow
@pytest.mark.parametrize("draft", list(every_draft())[::2] + list(every_draft())[3:], ids=lambda d: type(d).__name__)
def test_samples_follow_the_target(draft):
    """Chi-square of the second token, which mostly was a guess, given the first: both sides known exactly."""
    n, ids = 1500, torch.tensor([PROMPT])
    first = HOT.probabilities(TARGET(ids)[0, -1].detach())
    second = sum(
        first[v] * HOT.probabilities(TARGET(torch.cat([ids, torch.tensor([[v]])], 1))[0, -1].detach())
        for v in first.nonzero()[:, 0].tolist()
    )
    stream, seen = rng(0, type(draft).__name__), torch.zeros(40, dtype=torch.double)
    for _ in range(n):
        seen[speculate(TARGET, draft, PROMPT, 2, 2, HOT, stream).ids[1]] += 1
    big = second * n >= 5
    expected = torch.cat([second[big], second[~big].sum()[None]]) * n
    counted = torch.cat([seen[big], seen[~big].sum()[None]])
    statistic = ((counted - expected) ** 2 / expected.clamp(min=1e-9)).sum()
    assert torch.special.gammaincc((len(expected) - 1) / torch.tensor(2.0), statistic / 2) > 1e-4


@pytest.mark.parametrize("ahead", [2, 4])
def test_transformers_says_the_same_in_as_many_passes(ahead):
    hf, small, passes = TARGET.to_transformers(), SMALLER.to_transformers(), []
    hf.model.embed_tokens.register_forward_hook(lambda *_: passes.append(1))
    settings = {"num_assistant_tokens": ahead, "num_assistant_tokens_schedule": "constant"}
    small.generation_config.update(**settings, assistant_confidence_threshold=0.0)
    ids = torch.tensor([PROMPT])
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": 20}
    theirs = hf.generate(ids, attention_mask=torch.ones_like(ids), assistant_model=small, **options)
    out = speculate(TARGET, ModelDraft(SMALLER), PROMPT, 20, ahead)
    assert out.ids == theirs[0, len(PROMPT) :].tolist()
    assert len(out.rounds) == len(passes)


def test_prompt_lookup_says_the_same_as_transformers():
    ids = torch.tensor([PROMPT])
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": 20}
    mask = torch.ones_like(ids)
    theirs = TARGET.to_transformers().generate(ids, attention_mask=mask, prompt_lookup_num_tokens=4, **options)
    assert speculate(TARGET, LookupDraft(2, 40), PROMPT, 20, 4).ids == theirs[0, len(PROMPT) :].tolist()


@pytest.mark.parametrize(
    "ids, longest, after",
    [
        ([1, 2, 3, 1, 2], 2, [3, 1, 2]),
        ([1, 2, 3, 9, 2, 4, 1, 2], 2, [3, 9, 2, 4, 1, 2]),
        ([1, 2, 3, 9, 2, 4, 1, 2], 1, [4, 1, 2]),
        ([5, 5], 3, [5]),
        ([1, 2, 3], 3, []),
        ([1], 3, []),
    ],
)
def test_lookup_proposes_what_followed_last_time(ids, longest, after):
    assert followed(ids, longest) == after


def test_a_table_falls_back_on_shorter_contexts():
    table = TableDraft([1, 2, 3, 1, 2, 4, 2, 3], 2, 6)
    assert table.scores([1, 2]).exp()[0].tolist() == [0, 0, 0, 1, 1, 0]
    assert table.scores([5, 2]).exp()[0].round().tolist() == [0, 0, 0, 2, 1, 0]
    assert table.scores([5]).exp()[0].tolist() == [1] * 6


@settings(max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 30))
def test_a_reader_that_goes_back_reads_as_if_it_never_went(pieces, back):
    reader, ids = Reader(TARGET, 32), some_ids(1, 32)
    for piece in pieces:
        start = reader.length
        if start + piece > 32:
            break
        got = reader.read(ids[:, start : start + piece])
        torch.testing.assert_close(got, TARGET(ids[:, : start + piece])[:, start:], atol=1e-5, rtol=1e-5)
        reader.back_to(min(back, reader.length))


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: speculate(TARGET, LookupDraft(2, 40), PROMPT, 9, 0),
            "ahead must be a whole number of at least 1, got 0",
        ),
        (lambda: speculate(TARGET, LookupDraft(2, 40), PROMPT, 27), "do not fit in a context of 32: set max_new to 26"),
        (lambda: speculate(TARGET, LookupDraft(2, 40), PROMPT, 0), "max_new must be a whole number of at least 1"),
        (lambda: speculate(TARGET, LookupDraft(2, 40), [], 3), "prompt 0 must have at least one token"),
        (lambda: speculate(TARGET, LookupDraft(2, 40), PROMPT, 3, 2, HOT), "generator is None"),
        (lambda: speculate(TARGET, TableDraft([1], 1, 50), PROMPT, 3), "vocabulary must be the model's, 40, got 50"),
        (lambda: LookupDraft(0, 40), "longest must be a whole number of at least 1, got 0"),
        (lambda: TableDraft([1, 2], 1.5, 40), "longest must be a whole number of at least 1, got 1.5"),
        (lambda: Reader(TARGET, 33), "room must be from 1 to the model's context, 32, got 33"),
        (lambda: Reader(TARGET, 4).back_to(1), "length must be from 0 to the 0 tokens remembered, got 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_shared_context_is_the_shorter_one():
    assert SMALL.context == SMALLER.config.context
