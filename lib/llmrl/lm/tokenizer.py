"""Byte-pair encoding: text becomes whole numbers and comes back unchanged.

Every text is a sequence of UTF-8 bytes, and there are only 256 of those, so a vocabulary that starts with all of them
can write anything: this is the byte fallback, and no unknown token is needed. Training then adds one token at a time,
always the pair of neighbours seen most often inside a piece of text; encoding replays those merges in the order they
were learned. Merges, ids and encodings equal those of the tokenizers library, and transformers reads a saved folder.
Left out: offsets into the text, and a heap of pairs, which only a vocabulary of many thousands would repay.
"""

import json
from collections import Counter, defaultdict
from itertools import pairwise
from math import inf
from numbers import Integral
from pathlib import Path

from llmrl.lm.pretokenize import BYTE_ID, PIECES, SPECIAL, at_special, cutter, utf8
from llmrl.lm.tokenizer_file import CONFIG, document, merges_of
from llmrl.storage import write_whole

FIRST_MERGE = len(SPECIAL) + len(BYTE_ID)  # 260: the first id that training may give away


def most_frequent(counts):
    """The pair counted most often; of equals the smallest, so that nothing is left to chance."""
    return min(counts, key=lambda pair: (-counts[pair], pair))


def merge(symbols, pair, new):
    """Every `pair` of neighbours becomes `new`, a symbol not in use, from left to right: a a a turns into aa a."""
    left, right = pair
    merged = []
    for symbol in symbols:
        if symbol == right and merged and merged[-1] == left:
            merged[-1] = new
        else:
            merged.append(symbol)
    return merged


def pair_counts(words, times):
    """How often each pair of neighbours is seen.  words: lists of symbols; times: how often each of them is seen"""
    counts = Counter()
    for word, n in zip(words, times):
        for pair in pairwise(word):
            counts[pair] += n
    return counts


def merge_step(words, times, new):
    """One step of training: the pair seen most often becomes the symbol `new` everywhere.  -> pair, words"""
    pair = most_frequent(pair_counts(words, times))
    return pair, [merge(word, pair, new) for word in words]


def replay(ids, new_id):
    """Bytes become tokens: of the merges that fit, the one learned first comes next.  new_id: {pair: its id}"""
    while (pair := min(pairwise(ids), key=lambda pair: new_id.get(pair, inf), default=None)) in new_id:
        ids = merge(ids, pair, new_id[pair])
    return ids


class BPE:
    """Four control tokens, 256 bytes, and one token for each merge, in the order learned."""

    pad_id, eos_id, im_start_id, im_end_id = range(len(SPECIAL))

    def __init__(self, merges, pattern=PIECES):
        """merges: pairs (left id, right id); merge k makes token 260 + k. pattern: what text is cut into before any."""
        self.pattern, self.pieces = pattern, cutter(pattern)
        self.merges = [(left, right) for left, right in merges]
        self.new_id = {pair: FIRST_MERGE + k for k, pair in enumerate(self.merges)}
        self.tokens = [*(name.encode() for name in SPECIAL), *(bytes([byte]) for byte in BYTE_ID)]  # id -> bytes
        for left, right in self.merges:
            self.tokens.append(self.tokens[left] + self.tokens[right])
        self._known = {}  # piece -> ids: the merges of a piece are replayed once

    @classmethod
    def train(cls, text, vocab_size, pattern=PIECES):
        """Learn vocab_size - 260 merges from a text. Control tokens written in it are borders, not text.

        Each merge is a merge_step; counts are kept up to date, and only words that hold the pair are touched.
        """
        _require_room(vocab_size)
        pieces = cutter(pattern)
        seen = Counter(piece for part in at_special(utf8(text))[::2] for piece in pieces(part))
        words = [[BYTE_ID[byte] for byte in piece.encode()] for piece in seen]
        times = list(seen.values())
        counts, where = pair_counts(words, times), defaultdict(set)  # pair -> how often it is seen, in which words
        for w, word in enumerate(words):
            for pair in pairwise(word):
                where[pair].add(w)

        merges = []
        for new in range(FIRST_MERGE, vocab_size):
            _require_pairs(counts, vocab_size, merges)
            best = most_frequent(counts)
            merges.append(best)
            for w in where.pop(best):
                before, words[w] = words[w], merge(words[w], best, new)
                for pair in pairwise(before):
                    counts[pair] -= times[w]
                for pair in pairwise(words[w]):
                    counts[pair] += times[w]
                    where[pair].add(w)
            counts = +counts  # forgets pairs that are gone
        return cls(merges, pattern)

    def encode(self, text, special=True):
        """The ids of a text. special=False reads the names of control tokens in it as plain text."""
        first, *rest = at_special(utf8(text)) if special else [utf8(text)]
        ids = self._encode_plain(first)
        for name, part in zip(rest[::2], rest[1::2]):
            ids += [SPECIAL.index(name), *self._encode_plain(part)]
        return ids

    def _encode_plain(self, text):
        known = self._known
        return [i for piece in self.pieces(text) for i in known.get(piece) or self._encode_piece(piece)]

    def _encode_piece(self, piece):
        ids = replay([BYTE_ID[byte] for byte in piece.encode()], self.new_id)
        if len(self._known) < 100_000:
            self._known[piece] = ids
        return ids

    def encode_documents(self, text):
        """The ids of a text with one document per line, each closed by <|endoftext|>."""
        return self.encode(text.replace("\n", "<|endoftext|>"))

    def decode(self, ids, special=True):
        """The text of some ids. Bytes that are not UTF-8 become U+FFFD; special=False leaves control tokens out."""
        ids = _whole_numbers(ids, len(self.tokens))
        text = b"".join(self.tokens[i] for i in ids if special or i >= len(SPECIAL))
        return text.decode("utf-8", errors="replace")

    def save(self, folder):
        """Write the folder that transformers.AutoTokenizer.from_pretrained reads."""
        write_whole(Path(folder) / "tokenizer.json", json.dumps(document(self.merges, self.pattern), indent=1) + "\n")
        write_whole(Path(folder) / "tokenizer_config.json", json.dumps(CONFIG, indent=1) + "\n")

    @classmethod
    def load(cls, folder, pattern=PIECES):
        """Read a folder written by save, or by transformers' save_pretrained of the same tokenizer."""
        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: a saved tokenizer is a folder with that file. {WAY_OUT}")
        try:
            merges = merges_of(json.loads(path.read_bytes()), pattern)
        except ValueError as error:
            raise ValueError(f"{path} is cut off or altered ({error}): it has to be whole JSON. {WAY_OUT}") from error
        if merges is None:
            raise ValueError(f"{path} holds another kind of tokenizer: BPE reads only what it writes. {WAY_OUT}")
        return cls(merges, pattern)

    def __repr__(self):
        return f"BPE({len(self.tokens)} tokens: 4 control, 256 bytes, {len(self.merges)} merges)"


WAY_OUT = "Write it with BPE.save(folder); a tokenizer from elsewhere is read by transformers.AutoTokenizer"


def _require_room(vocab_size):
    if isinstance(vocab_size, bool) or not isinstance(vocab_size, Integral) or vocab_size < FIRST_MERGE:
        raise ValueError(
            f"vocab_size must be a whole number of at least {FIRST_MERGE}, got {vocab_size!r}: 4 control tokens and "
            "256 bytes come before the first merge, so that any text can be written. The course uses 512"
        )


def _require_pairs(counts, vocab_size, merges):
    if not counts:
        raise ValueError(
            f"vocab_size={vocab_size} asks for {vocab_size - FIRST_MERGE} merges, but after {len(merges)} each piece "
            f"of this text is one token: train on more text, or with vocab_size={FIRST_MERGE + len(merges)}"
        )


def _whole_numbers(ids, size):
    """The ids as a list, once each is known to be in the vocabulary. An array or tensor of one dimension will do."""
    ids = ids.tolist() if hasattr(ids, "tolist") else ids
    if isinstance(ids, (Integral, str, bytes)):
        raise TypeError(f"decode reads a list of ids, got {ids!r}: for one token write decode([3])")
    ids = list(ids)
    for at, i in enumerate(ids):
        if type(i) is not int and (isinstance(i, bool) or not isinstance(i, Integral)):
            raise TypeError(f"ids are whole numbers from 0 to {size - 1}, not {i!r} at position {at}: see encode(text)")
        if not 0 <= i < size:
            raise ValueError(f"ids go from 0 to {size - 1}, got {i} at position {at}: use the tokenizer that made them")
    return ids
