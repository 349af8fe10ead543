"""Pages hold what was written, copies share them until one writes, and a model says the same from them."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm.lively import SMALL, lively, some_ids

from llmrl.lm.attention import attend
from llmrl.lm.cache import Past, new_cache
from llmrl.lm.generation import generate
from llmrl.perf.pages import OutOfPages, PagedPast, PageTable, answers_together, page_places, paged_attention
from llmrl.seeds import rng


def owners_are_counted(table):
    owned = Counter(page for pages in table.tables.values() for page in pages)
    assert [owned[page] for page in range(len(table.owners))] == table.owners
    assert sorted(table.free) == [page for page, n in enumerate(table.owners) if n == 0]
    assert all(len(table.tables[t]) == -(-n // table.size) for t, n in table.lengths.items())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("add fork grow grow grow drop".split()), st.integers(0, 9)), max_size=60))
def test_whatever_happens_the_books_are_right_and_every_text_reads_what_it_wrote(events):
    """A model of the memory: one list per text, copied when a text is."""
    table, pool, lists, names = PageTable(6, 3), {}, {}, iter(range(10**6))
    for what, which in events:
        known = list(lists)
        text = known[which % len(known)] if known else None
        if what == "add" or text is None:
            lists[name := next(names)] = []
            table.add(name)
        elif what == "fork":
            lists[name := next(names)] = list(lists[text])
            table.fork(text, name)
        elif what == "drop":
            del lists[text]
            table.drop(text)
        else:
            try:
                page, place, source = table.grow(text)
            except OutOfPages:
                assert not table.free
                continue
            if source is not None:
                pool |= {(page, i): pool[source, i] for i in range(place)}
            pool[page, place] = token = next(names)
            lists[text].append(token)
        owners_are_counted(table)
    for text, tokens in lists.items():
        pages, at = page_places(table.tables[text] or [0], torch.arange(len(tokens)), 3)
        assert [pool[p, i] for p, i in zip(pages.tolist(), at.tolist())] == tokens


def test_a_copy_shares_until_it_writes():
    table = PageTable(8, 4)
    table.add("prompt")
    for _ in range(6):
        table.grow("prompt")
    for answer in "abc":
        table.fork("prompt", answer)
    assert table.taken == 2  # 24 tokens are remembered on 2 pages
    assert table.grow("a")[1:] == (2, table.tables["b"][1])  # copies the page that is half full
    assert table.taken == 3 and table.tables["a"][0] == table.tables["b"][0]
    table.drop("prompt"), table.drop("b")
    assert table.grow("c")[2] is None  # the last owner writes where it is
    assert table.taken == 3


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 11), st.integers(1, 5), st.integers(1, 2), st.integers(1, 3))
def test_looking_back_page_by_page_is_attention(length, size, K, G):
    past, plain = PagedPast(12, size, K, 4, torch.zeros(1)), Past(1, K, 11, 4, torch.zeros(1))
    k, v = (torch.randn(1, K, length, 4, generator=rng(0, i)) for i in range(2))
    for ours, theirs in zip(past.append(k, v), plain.append(k, v)):
        assert torch.equal(ours, theirs)
    q = torch.randn(K * G, 4, generator=rng(0, "q"))
    expected = attend(q[None, :, None], k, v)[0, :, 0]
    torch.testing.assert_close(paged_attention(q, past, 0), expected, rtol=1e-5, atol=1e-5)


def test_a_model_says_the_same_from_pages_and_a_group_shares_its_prompt():
    model, prompt, dice = lively(SMALL), some_ids(1, 9), torch.rand(4, 7, generator=rng(0, "dice"))

    c = model.config
    paged = [PagedPast(40, 4, c.kv_heads, c.head_width, torch.zeros(1)) for _ in model.layers]
    said, logp, taken = answers_together(model, prompt, dice, paged)
    plainly, plain_logp, none = answers_together(model, prompt, dice, new_cache(model, 1, 16))
    assert said.tolist() == plainly.tolist() and none == []
    assert taken[0] == 3 and len(taken) == 7  # 9 tokens, 4 a page, for all four
    torch.testing.assert_close(logp, plain_logp)
    assert generate(model, prompt.tolist() * 4, 7, stop=()).ids.shape == said.shape
    assert paged[0].table.taken == 2 + 4 * 2  # the two full pages of the prompt, then 7 tokens on pages of one's own


def test_what_cannot_be_is_refused():
    table = PageTable(1, 2)
    table.add("a")
    table.grow("a"), table.grow("a")
    with pytest.raises(OutOfPages, match="all 1 pages are taken"):
        table.grow("a")
    assert table.lengths["a"] == 2 and len(table.tables["a"]) == 1  # nothing half done
    with pytest.raises(ValueError, match="there already"):
        table.add("a")
    with pytest.raises(KeyError, match="add it first"):
        table.grow("b")
    for pages, size in ((0, 2), (2, 0), (2.0, 2), (True, 2)):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            PageTable(pages, size)
