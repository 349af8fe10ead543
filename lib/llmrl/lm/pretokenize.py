r"""What a text is cut into before any merge: control tokens, pieces, bytes.

A control token is a name such as <|im_end|> that stands for one id and nothing else. The text between control tokens
is cut into pieces: a word with the space before it, a run of signs, a run of spaces, or a single digit, so that a
number is always read digit by digit. No token ever reaches over the end of a piece. A piece is a sequence of UTF-8
bytes, and files show each byte as one visible character, as GPT-2 did.
Left out: Unicode normalisation. The text you get back is the text you gave.
"""

import re

SPECIAL = ("<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>")  # ids 0, 1, 2, 3
PIECES = (  # every character is in exactly one piece; the tokenizers library reads the expression the same way
    "[0-9]"  # one digit
    "| ?[A-Za-z\u0080-\U0010FFFF]+"  # a word in any script, with the space before it
    "| ?[^ \t\n\rA-Za-z0-9\u0080-\U0010FFFF]+"  # signs, with the space before them
    "|[ \t\n\r]+(?![^ \t\n\r])"  # spaces, except the last one before a word: that one is the word's own
    "|[ \t\n\r]+"
)

pieces = re.compile(PIECES).findall  # text -> list of pieces
at_special = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")").split  # -> text, special, text, ..., text


def cutter(pattern):
    """The function that cuts a text into the pieces a pattern matches.  pattern: an expression without groups"""
    if pattern == PIECES:
        return pieces
    compiled = re.compile(pattern)
    if compiled.groups:
        raise ValueError(f"a pattern must match whole pieces, got {pattern!r} with groups: write (?:...) for (...)")

    def cut(text):
        parts = compiled.findall(text)
        if "".join(parts) != text:
            raise ValueError(
                f"the pattern {pattern!r} leaves out some of the text, which could not come back: "
                f"start from llmrl.lm.pretokenize.PIECES, which matches every character"
            )
        return parts

    return cut


def _stand_ins():
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    stand_in = {byte: chr(byte) for byte in visible} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}
    return dict(sorted(stand_in.items(), key=lambda item: item[1]))


STAND_IN = _stand_ins()  # byte -> its visible character, in the order of those characters
BYTE_ID = {byte: len(SPECIAL) + i for i, byte in enumerate(STAND_IN)}  # byte -> id, 4 to 259


def utf8(text):
    """The text, once it is sure to be one and to have bytes."""
    if not isinstance(text, str):
        raise TypeError(f"a tokenizer reads text, got {type(text).__name__}: pass one str, entry by entry for a list")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character U+{ord(text[error.start]):04X} at position {error.start} is half of a surrogate pair, which "
            "has no UTF-8 bytes: read the text again with its right encoding, or replace that character"
        ) from error
    return text
