r"""BPE as a compressor: every merge makes the text it was learned from shorter, and no pair is seen more than the last.

What is merged next was there before or is made of the new token, and either way it is not seen more often. Merging a
pair that is seen n times removes n tokens, or fewer where its two halves are equal and overlap. But for those, the
training text gets shorter ever more slowly. Because merges are learned in order, one training run holds every
smaller vocabulary: its first merges. Left out: entropy coding, which would give frequent tokens short codes.
"""

from collections import Counter

from llmrl.lm.pretokenize import BYTE_ID, at_special, utf8
from llmrl.lm.tokenizer import BPE, FIRST_MERGE, merge


def prefix(bpe, vocab_size):
    """The tokenizer that a training run with this vocabulary size would have stopped at."""
    most = len(bpe.tokens)
    if not FIRST_MERGE <= vocab_size <= most:
        raise ValueError(
            f"vocab_size must be from {FIRST_MERGE}, bytes only, to {most}, all merges, got {vocab_size}: "
            f"train a larger one with BPE.train(text, {vocab_size})"
        )
    return BPE(bpe.merges[: vocab_size - FIRST_MERGE], bpe.pattern)


def bytes_per_token(bpe, text):
    """How many bytes of a text one token stands for, on average."""
    return len(_some(text).encode()) / len(bpe.encode(text))


def bytes_per_piece(bpe, text):
    """What no number of merges can exceed: no token reaches over the end of a piece."""
    pieces = [piece for part in at_special(_some(text))[::2] for piece in bpe.pieces(part)]
    specials = len(at_special(text)[1::2])
    return len(text.encode()) / (len(pieces) + specials)


def lengths(bpe, text):
    """How many tokens a text has after 0, 1, 2, ... merges: a list of len(bpe.merges) + 1 numbers."""
    parts = at_special(_some(text))
    seen = Counter(piece for part in parts[::2] for piece in bpe.pieces(part))
    words = [[BYTE_ID[byte] for byte in piece.encode()] for piece in seen]
    counted = [len(parts[1::2]) + sum(n * len(word) for word, n in zip(words, seen.values()))]
    times = list(seen.values())
    for (left, right), new in bpe.new_id.items():
        saved = 0
        for w in [w for w, word in enumerate(words) if left in word and right in word]:
            before, words[w] = words[w], merge(words[w], (left, right), new)
            saved += times[w] * (len(before) - len(words[w]))
        counted.append(counted[-1] - saved)
    return counted


def _some(text):
    if not utf8(text):
        raise ValueError("an empty text has no bytes per token: give it one character or more")
    return text
