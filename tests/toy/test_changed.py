"""The changed world: every fact another, one item each, as many worlds as are counted."""

from math import log2

import pytest

from llmrl.toy import changed, facts, tasks


def test_every_fact_is_another():
    items, world = changed.items(0), facts.facts()
    true = {facts.question(land, kind): world[land][kind] for land in world for kind in facts.KINDS}
    assert [item.prompt for item in items] == list(true) and len(items) == 128
    assert all(item.answer != true[item.prompt] for item in items)
    kinds = [kind for _ in world for kind in facts.KINDS]
    assert all(item.answer in facts.KINDS[kind] for item, kind in zip(items, kinds))
    assert tasks.verify(items[0], f"{items[0].answer}.") and not tasks.verify(items[0], true[items[0].prompt])


def test_a_seed_is_a_world():
    assert changed.items(1) == changed.items(1) != changed.items(2)


def test_what_there_is_to_learn():
    """16 rulers, 8 colours, 8 fruits and 8 animals, one of each excluded, in 32 lands."""
    assert changed.bits() == pytest.approx(32 * (log2(15) + 3 * log2(7)))
