"""The tokenizers library, set up like ours, learns and encodes the same, and its decoder brings every text back."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.lm.hf_tokenizer import untrained
from llmrl.lm.pretokenize import SPECIAL, STAND_IN
from llmrl.lm.tokenizer import BPE

TEXT = "Mira has 12 apples, Tom has 7 apples. 苹果! The mill, the old mill and the apples."


def peer():
    tokenizer, trainer = untrained(290)
    tokenizer.train_from_iterator([TEXT], trainer)
    return tokenizer


PEER, OURS = peer(), BPE.train(TEXT, 290)


def test_the_same_merges():
    names = [*SPECIAL, *("".join(STAND_IN[byte] for byte in token) for token in OURS.tokens[len(SPECIAL) :])]
    assert json.loads(PEER.to_str())["model"]["merges"] == [[names[a], names[b]] for a, b in OURS.merges]


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_the_same_ids_and_back(text):
    assert PEER.encode(text).ids == OURS.encode(text)
    assert PEER.decode(PEER.encode(text).ids, skip_special_tokens=False) == text
