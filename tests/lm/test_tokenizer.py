"""The tokenizer against the tokenizers library merge by merge, against transformers on a saved folder, and by hand."""

import json
import pickle
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.lm import tokenizer as module
from llmrl.lm.pretokenize import BYTE_ID, PIECES, SPECIAL, STAND_IN, pieces
from llmrl.lm.tokenizer import BPE, merge, merge_step, most_frequent, pair_counts, replay

STORY = """Mira has 12 red apples and 7 green ones. "How many?" asks Tom; she counts: 12+7=19.
Then they walk to the old mill, and the mill is red, and the door is open...
\tA list:\n\n  - bread\n  - 3 eggs\n米拉有十二个苹果。汤姆问:有多少个?苹果是红色的。 😀 naïve café, señor\r\n
Walk the singing of 95 talk the ringing of 96 red the bringing of 97 read the mending of 98 bread the bending."""
ODD = [*SPECIAL, "<|im", "|>", "<|im_end|", "the", " the", "7", "12", ".", "'", "中", "苹果", "e\u0301", "😀", "👩‍🚀"]
ODD += [" ", "  ", "\n", "\t", "\r\n", "\x0b", "\x1c", "\x85", "\xa0", "\u3000", "\u200b"]  # spaces of many kinds
ODD += ["\x00", "\x7f", "\x80", "\ufffd", "\ufeff", "\U0010ffff"]  # the edges of what a character can be
any_text = st.one_of(st.text(), st.lists(st.sampled_from(ODD), max_size=12).map("".join))


def trained_by_the_library(texts, vocab_size):
    from tokenizers import Regex, Tokenizer, models, trainers
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    peer = Tokenizer(models.BPE())
    in_bytes = ByteLevel(add_prefix_space=False, use_regex=False)
    peer.pre_tokenizer = Sequence([Split(Regex(PIECES), behavior="isolated"), in_bytes])
    alphabet = ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    peer.train_from_iterator(texts, trainer)
    return peer


def model_of(peer):
    return json.loads(peer.to_str())["model"]


def in_file(bpe):
    """Merges and vocabulary as the library writes them, spelled from the tokens' bytes."""
    names = [*SPECIAL, *("".join(STAND_IN[byte] for byte in token) for token in bpe.tokens[len(SPECIAL) :])]
    return [[names[left], names[right]] for left, right in bpe.merges], {name: i for i, name in enumerate(names)}


@pytest.fixture(scope="module")
def bpe():
    return BPE.train(STORY, 400)


@pytest.fixture(scope="module")
def folder(bpe, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    bpe.save(path)
    return path


@pytest.fixture(scope="module")
def peer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


# --- one merge, by hand ---


def test_one_merge_on_four_symbols():
    assert merge(["a", "b", "a", "b"], ("a", "b"), "ab") == ["ab", "ab"]
    assert merge(["a", "a", "a", "b"], ("a", "a"), "aa") == ["aa", "a", "b"]  # from left to right, no symbol used twice
    assert merge(["b", "a", "a", "b"], ["a", "b"], "ab") == ["b", "a", "ab"]  # a pair may be a list
    assert merge(["a", "b"], ("b", "a"), "ba") == ["a", "b"] and merge([], ("a", "b"), "ab") == []


@given(st.lists(st.sampled_from("abc"), max_size=12), st.tuples(*2 * [st.sampled_from("abc")]))
def test_a_merge_keeps_the_text_and_leaves_no_pair_behind(symbols, pair):
    merged = merge(symbols, pair, "".join(pair))
    assert "".join(merged) == "".join(symbols)
    assert pair not in zip(merged, merged[1:])


def test_the_most_frequent_pair_and_the_smaller_of_equals():
    assert most_frequent({("t", "h"): 2, ("h", "e"): 3}) == ("h", "e")
    assert most_frequent({("t", "h"): 3, ("h", "e"): 3, ("h", "a"): 3}) == ("h", "a")


# --- training ---


def test_merges_and_vocabulary_equal_the_library(bpe):
    merges, vocabulary = in_file(bpe)
    theirs = model_of(trained_by_the_library([STORY], 400))
    assert merges == theirs["merges"] and vocabulary == theirs["vocab"]
    assert len(bpe.tokens) == 400 and len(bpe.merges) == 140


@pytest.mark.parametrize(
    "wrong",
    [
        lambda counts: max(counts, key=lambda pair: (counts[pair], pair)),  # the larger of equals
        lambda counts: max(counts, key=counts.get),  # the first seen of equals
        lambda counts: min(counts, key=lambda pair: (counts[pair], pair)),  # the rarest
    ],
)
def test_the_comparison_with_the_library_notices_a_wrong_choice(wrong, monkeypatch):
    monkeypatch.setattr(module, "most_frequent", wrong)
    assert in_file(BPE.train(STORY, 400))[0] != model_of(trained_by_the_library([STORY], 400))["merges"]


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("aab ab\n1.中"), min_size=1, max_size=60))
def test_any_text_is_learned_to_its_last_pair_as_the_library_does(text):
    theirs = model_of(trained_by_the_library([text], 1000))
    supply = len(theirs["vocab"])
    assert in_file(BPE.train(text, supply)) == (theirs["merges"], theirs["vocab"])
    with pytest.raises(ValueError, match=f"vocab_size={supply + 1} asks .* more text, or with vocab_size={supply}"):
        BPE.train(text, supply + 1)


def test_counts_kept_up_to_date_equal_counts_taken_anew():
    draw = random.Random(0)
    text = " ".join("".join(draw.choices("abc", [4, 2, 1], k=8)) for _ in range(500))
    words = [[BYTE_ID[byte] for byte in piece.encode()] for piece in pieces(text)]
    for pair, new in BPE.train(text, 300).new_id.items():
        counts = {}
        for word in words:
            for neighbours in zip(word, word[1:]):
                counts[neighbours] = counts.get(neighbours, 0) + 1
        assert counts == pair_counts(words, [1] * len(words))
        assert pair == min(counts, key=lambda pair: (-counts[pair], pair))
        found, words = merge_step(words, [1] * len(words), new)
        assert found == pair and not any(pair in zip(word, word[1:]) for word in words)


def test_one_step_by_hand():
    words, times = [list("hug"), list("pug"), list("hugs")], [10, 5, 5]
    assert pair_counts(words, times)["u", "g"] == 20 and pair_counts(words, times)["h", "u"] == 15
    assert merge_step(words, times, "ug") == (("u", "g"), [["h", "ug"], ["p", "ug"], ["h", "ug", "s"]])
    assert pair_counts([["a"]], [3]) == {} and pair_counts([list("aaa")], [2]) == {("a", "a"): 4}


def test_merges_are_replayed_in_the_order_learned():
    a, b, c, bc, ab, abc = 10, 11, 12, 260, 261, 262
    order = {(b, c): bc, (a, b): ab, (ab, c): abc}
    assert replay([a, b, c], order) == [a, bc]  # the two later merges would have made one token of it
    assert replay([a, b, a, b], order) == [ab, ab] and replay([], order) == [] and replay([a], order) == [a]


def test_control_tokens_in_the_training_text_are_borders():
    apart, joined = ["the cat sat", " the hat", "the cat"], "the cat sat<|endoftext|> the hat<|im_end|>the cat"
    theirs = model_of(trained_by_the_library(apart, 266))
    assert in_file(BPE.train(joined, 266)) == (theirs["merges"], theirs["vocab"])


def test_the_layout_of_ids(bpe):
    assert (bpe.pad_id, bpe.eos_id, bpe.im_start_id, bpe.im_end_id) == (0, 1, 2, 3)
    assert [bpe.encode(name) for name in SPECIAL] == [[0], [1], [2], [3]]
    assert sorted(bpe.tokens[4:260]) == [bytes([byte]) for byte in range(256)]
    assert bpe.tokens[4] == b"!" and bpe.tokens[260] == bpe.tokens[bpe.merges[0][0]] + bpe.tokens[bpe.merges[0][1]]
    assert len(set(bpe.tokens)) == 400
    assert BPE.train("ab", 260).merges == []  # bytes alone already write any text


@pytest.mark.parametrize("size", [259, 0, -1, 512.0, "512", None, True])
def test_a_vocabulary_too_small_for_the_bytes(size):
    with pytest.raises(ValueError, match=r"at least 260, got .*: 4 control tokens and 256 bytes"):
        BPE.train(STORY, size)


def test_an_empty_training_text_supplies_no_merge():
    with pytest.raises(ValueError, match="asks for 252 merges, but after 0 .* more text, or with vocab_size=260"):
        BPE.train("", 512)
    with pytest.raises(TypeError, match="reads text, got list"):
        BPE.train(["a", "b"], 300)


# --- encoding and decoding ---


def test_a_token_that_holds_a_word_and_its_full_stop(tmp_path):
    """GPT-2's expression would cut before the full stop: the saved file must say that ours does not."""
    from tokenizers import Tokenizer

    bpe = BPE.train(" 苹果。 苹果。", 269)
    bpe.save(tmp_path)
    peer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert bpe.encode(" 苹果。") == peer.encode(" 苹果。").ids == [268]


def test_the_training_text_is_encoded_as_the_library_does(bpe, peer):
    assert bpe.encode(STORY) == peer(STORY)["input_ids"]


@settings(max_examples=400, deadline=None)
@given(any_text)
def test_every_encoding_equals_the_library_and_comes_back(bpe, peer, text):
    ids, plain = bpe.encode(text), bpe.encode(text, special=False)
    assert ids == peer(text)["input_ids"] and bpe.decode(ids) == text == peer.decode(ids)
    assert plain == peer(text, split_special_tokens=True)["input_ids"] and bpe.decode(plain) == text
    assert not set(plain) & set(range(len(SPECIAL)))
    assert bpe.encode(text) == ids  # again, now from what it remembers


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 399), max_size=12))
def test_every_decoding_equals_the_library(bpe, peer, ids):
    assert bpe.decode(ids) == peer.decode(ids)
    assert bpe.decode(ids, special=False) == peer.decode(ids, skip_special_tokens=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0x41, 0x80, 0xA0, 0xBF, 0xC0, 0xC3, 0xE0, 0xED, 0xE4, 0xF0, 0xF4, 0xFF]), max_size=6))
def test_broken_utf8_becomes_the_replacement_character_as_in_the_library(bpe, peer, broken):
    ids = [BYTE_ID[byte] for byte in broken]
    assert bpe.decode(ids) == peer.decode(ids)


def test_half_a_character_decodes_to_the_replacement_character(bpe):
    assert bpe.decode([BYTE_ID[byte] for byte in "é".encode()]) == "é"
    assert bpe.decode([BYTE_ID["é".encode()[0]]]) == "\ufffd"


@given(st.integers(0, 10**12))
def test_each_digit_is_one_token(bpe, number):
    assert [bpe.decode([i]) for i in bpe.encode(str(number))] == list(str(number))
    assert len(bpe.encode(f"x={number};")) == len(bpe.encode("x=")) + len(str(number)) + len(bpe.encode(";"))


@pytest.mark.parametrize(
    "text, parts",
    [
        ("a  b \n\tc", ["a", " ", " b", " \n", "\t", "c"]),
        ("x=12, y", ["x", "=", "1", "2", ",", " y"]),
        ("go on... 3 \n", ["go", " on", "...", " ", "3", " \n"]),
        ("中文。ok naïve\x0b!", ["中文。ok", " naïve", "\x0b!"]),
        ("", []),
    ],
)
def test_pieces_by_hand(text, parts):
    assert pieces(text) == parts


@given(any_text)
def test_the_pieces_of_a_text_are_the_text(text):
    assert "".join(pieces(text)) == text


def test_merging_makes_text_shorter(bpe):
    assert len(bpe.encode(STORY)) < 0.7 * len(STORY.encode())
    assert len(BPE.train(STORY, 270).encode(STORY)) > len(bpe.encode(STORY))


def test_a_long_piece_is_encoded_in_reasonable_time(bpe, peer):
    text = "theand" * 20_000
    assert bpe.encode(text) == peer(text)["input_ids"]


@pytest.mark.parametrize("text, at", [("\ud800", 0), ("ab\udc00", 2), ("😀\udfffx", 1)])
def test_half_a_surrogate_pair_is_named(bpe, text, at):
    named = rf"character U\+{ord(text[at]):04X} at position {at} .*surrogate.* no UTF-8 bytes"
    for read in (bpe.encode, lambda text: BPE.train(text, 300)):
        with pytest.raises(ValueError, match=named):
            read(text)


@pytest.mark.parametrize("text", [None, b"bytes", 3, ["a"]])
def test_encode_reads_text_only(bpe, text):
    with pytest.raises(TypeError, match=f"reads text, got {type(text).__name__}"):
        bpe.encode(text)


@pytest.mark.parametrize("wrong", [-1, 400, 10**9])
def test_an_id_outside_the_vocabulary(bpe, wrong):
    with pytest.raises(ValueError, match=f"ids go from 0 to 399, got {wrong} at position 1"):
        bpe.decode([5, wrong])


@pytest.mark.parametrize("wrong", [1.0, "a", None, True, [5]])
def test_an_id_that_is_no_whole_number(bpe, wrong):
    with pytest.raises(TypeError, match="whole numbers from 0 to 399, not .* at position 1"):
        bpe.decode([5, wrong])


@pytest.mark.parametrize("wrong", [5, "5", b"5", torch.tensor(5)])
def test_one_id_is_not_a_list_of_ids(bpe, wrong):
    with pytest.raises(TypeError, match=r"reads a list of ids.*decode\(\[3\]\)"):
        bpe.decode(wrong)


def test_ids_may_come_as_arrays_and_tensors(bpe):
    ids = bpe.encode("the old mill")
    for kind in (tuple, np.array, torch.tensor, iter):
        assert bpe.decode(kind(ids)) == "the old mill"
    assert bpe.decode([]) == bpe.decode(torch.empty(0, dtype=torch.long)) == ""


# --- files ---


def test_a_saved_tokenizer_comes_back_the_same(bpe, folder, tmp_path):
    again = BPE.load(folder)
    assert again.merges == bpe.merges and again.tokens == bpe.tokens
    again.save(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    assert pickle.loads(pickle.dumps(bpe)).encode(STORY) == bpe.encode(STORY)


def test_transformers_reads_the_folder_and_we_read_what_it_writes(bpe, peer, tmp_path):
    assert (peer.pad_token_id, peer.eos_token_id, len(peer)) == (bpe.pad_id, bpe.im_end_id, 400)
    peer.save_pretrained(tmp_path)
    assert BPE.load(tmp_path).merges == bpe.merges


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer.json is missing: .*BPE.save\(folder\)"):
        BPE.load(tmp_path)


@pytest.mark.parametrize("part", [0, 0.5, 0.999])
def test_a_truncated_file(folder, tmp_path, part):
    whole = (folder / "tokenizer.json").read_bytes()
    (tmp_path / "tokenizer.json").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ValueError, match=r"tokenizer.json is cut off or altered .*BPE.save\(folder\)"):
        BPE.load(tmp_path)


FOREIGN = {
    "no document": lambda d: d.clear(),
    "another model": lambda d: d["model"].update(type="WordPiece"),
    "merges in another order": lambda d: d["model"]["merges"].reverse(),
    "one merge less": lambda d: d["model"]["merges"].pop(),
    "a merge of unknown tokens": lambda d: d["model"]["merges"].append(["☃", "☃"]),
    "merges as strings": lambda d: d["model"].update(merges=[" ".join(pair) for pair in d["model"]["merges"]]),
    "other pieces": lambda d: d["pre_tokenizer"]["pretokenizers"][0]["pattern"].update(Regex="."),
    "other control tokens": lambda d: d["added_tokens"][0].update(content="[PAD]"),
    "lower-casing": lambda d: d.update(normalizer={"type": "Lowercase"}),
    "two ids swapped": lambda d: d["model"]["vocab"].update(a=BYTE_ID[ord("b")], b=BYTE_ID[ord("a")]),
    "a token before each text": lambda d: d.update(post_processor={"special_tokens": {"<s>": {}}}),
    "a list for a vocabulary": lambda d: d["model"].update(vocab=[]),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file(folder, tmp_path, name):
    document = json.loads((folder / "tokenizer.json").read_bytes())
    FOREIGN[name](document)
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="tokenizer.json holds another kind .*transformers.AutoTokenizer"):
        BPE.load(tmp_path)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"x"'])
def test_json_that_is_no_document(tmp_path, text):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ValueError, match="another kind of tokenizer"):
        BPE.load(tmp_path)


def test_a_failed_save_loses_nothing(bpe, folder, tmp_path, monkeypatch):
    bpe.save(tmp_path)
    before = (tmp_path / "tokenizer.json").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="tokenizer.json .* was not written and what was there before is untouched"):
        BPE([]).save(tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == before and len(list(tmp_path.iterdir())) == 2


# --- other pieces ---

WHOLE = PIECES.replace("[0-9]", "[0-9]+", 1)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("12 a+"), min_size=1, max_size=60))
def test_other_pieces_are_learned_as_the_library_does(text):
    from llmrl.lm.hf_tokenizer import untrained

    peer, trainer = untrained(1000, WHOLE)
    peer.train_from_iterator([text], trainer)
    theirs = model_of(peer)
    ours = BPE.train(text, len(theirs["vocab"]), WHOLE)
    assert in_file(ours) == (theirs["merges"], theirs["vocab"]) and ours.encode(text) == peer.encode(text).ids


def test_other_pieces_are_saved_and_read_again(tmp_path):
    from transformers import AutoTokenizer

    bpe = BPE.train("1212 and 1213 and 3412", 266, WHOLE)
    bpe.save(tmp_path)
    again, theirs = BPE.load(tmp_path, WHOLE), AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert again.merges == bpe.merges and again.pattern == WHOLE
    for text in ("1212", "x1213;", "341 2"):
        assert bpe.encode(text) == again.encode(text) == theirs(text)["input_ids"]
    with pytest.raises(ValueError, match="another kind of tokenizer"):
        BPE.load(tmp_path)


def test_pieces_that_lose_text_are_refused():
    with pytest.raises(ValueError, match="leaves out some of the text, which could not come back: start from .*PIECES"):
        BPE.train("a b", 260, "[a-z]+")
    with pytest.raises(ValueError, match=r"whole pieces, got .* with groups: write \(\?:"):
        BPE([], "(a)|b")
