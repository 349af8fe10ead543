"""The many ways to write one text with the same tokens, and the one that BPE chooses.

Every token is a string of bytes, and most texts can be put together from them in a great many ways; all of these decode
to the same text. Encoding chooses one: the merges, replayed in the order they were learned. Two other rules are common,
the longest token that fits, again and again from the left, and the fewest tokens, found by dynamic programming over the
ends of the text. Left out: sampling among the ways while training (BPE-dropout), and unigram models, which weigh them.
"""

from llmrl.lm.pretokenize import SPECIAL, utf8


def _pieces(bpe, text):
    """The bytes of each piece, and the id of each token that is text."""
    ids = {token: i for i, token in enumerate(bpe.tokens) if i >= len(SPECIAL)}
    return [piece.encode() for piece in bpe.pieces(utf8(text))], ids


def ways(bpe, text):
    """How many sequences of ids decode to this text without a token that reaches over the end of a piece."""
    pieces, ids = _pieces(bpe, text)
    product = 1
    for piece in pieces:
        to = [1] + [0] * len(piece)  # to[j]: ways to write the first j bytes
        for j in range(1, len(piece) + 1):
            to[j] = sum(to[i] for i in range(j) if piece[i:j] in ids)
        product *= to[-1]
    return product


def longest_first(bpe, text):
    """Ids by the rule: the longest token that fits, from the left."""
    pieces, ids = _pieces(bpe, text)
    found = []
    for piece in pieces:
        while piece:
            end = next(end for end in range(len(piece), 0, -1) if piece[:end] in ids)
            found.append(ids[piece[:end]])
            piece = piece[end:]
    return found


def fewest(bpe, text):
    """Ids by the rule: as few tokens as there can be; of equals the one whose first token is longest."""
    pieces, ids = _pieces(bpe, text)
    found = []
    for piece in pieces:
        best = {len(piece): []}  # start -> the ids from there to the end
        for i in reversed(range(len(piece))):
            ends = [j for j in range(len(piece), i, -1) if piece[i:j] in ids]
            j = min(ends, key=lambda j: len(best[j]))
            best[i] = [ids[piece[i:j]], *best[j]]
        found += best[0]
    return found
