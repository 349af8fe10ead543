"""JSON as an automaton with a stack: which byte may come next, and how many it takes to finish.

A state is what is being read and which brackets are open. `step` takes one byte and gives the next state, or None where
that byte would make the text invalid for good. `shortest` knows the way out of every state, so a text can always be
finished within a budget. Objects and arrays may lie in each other as deep as one allows; strings are UTF-8 with all the
escapes; numbers as RFC 8259 has them. Left out: spaces, but for one after a comma or a colon; repeated keys, which the
standard permits and so does this; a schema.
"""

DIGITS, NONZERO = b"0123456789", b"123456789"
NUMBER = {  # part of a number -> the bytes that may follow, and the part they lead to
    "-": ((b"0", "0"), (NONZERO, "1")),
    "0": ((b".", "."), (b"eE", "e")),
    "1": ((DIGITS, "1"), (b".", "."), (b"eE", "e")),
    ".": ((DIGITS, ".1"),),
    ".1": ((DIGITS, ".1"), (b"eE", "e")),
    "e": ((b"+-", "e+"), (DIGITS, "e1")),
    "e+": ((DIGITS, "e1"),),
    "e1": ((DIGITS, "e1"),),
}
OPEN_NUMBER = ("-", ".", "e", "e+")  # parts that need one more digit
WORDS = {word[0]: word[1:] for word in (b"true", b"false", b"null")}


def utf8(lead):
    """The lowest and highest second byte of a character that begins with `lead`, and how many follow; None if none."""
    if 0xC2 <= lead <= 0xDF:
        return 0x80, 0xBF, 0
    if 0xE0 <= lead <= 0xEF:  # no longer than needed, and no halves of surrogate pairs
        return 0xA0 if lead == 0xE0 else 0x80, 0x9F if lead == 0xED else 0xBF, 1
    if 0xF0 <= lead <= 0xF4:  # no longer than needed, and nothing above U+10FFFF
        return 0x90 if lead == 0xF0 else 0x80, 0x8F if lead == 0xF4 else 0xBF, 2
    return None


class JSON:
    """An object or an array, at most `depth` deep. A state: what is being read, its details, the open brackets."""

    start = ("begin", "")

    def __init__(self, depth=3):
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise ValueError(f"depth must be a whole number of at least 1, got {depth!r}: brackets that may be open")
        self.depth = depth

    def step(self, state, byte):
        """The state after one more byte, or None."""
        reading, *details, stack = state
        return getattr(self, reading)(byte, stack, *details)

    def finished(self, state):
        """Whether the text is whole; nothing may follow it."""
        return state == ("after", "")

    def shortest(self, state):
        """The fewest bytes that finish the text."""
        reading, *details, stack = state
        to_value = 2 if reading in ("text", "escape", "code", "rest") and details[0] else 0  # a key: colon and value
        ahead = {
            "begin": lambda: 2,
            "value": lambda closes: 0 if closes else 1,
            "space": lambda then, closes: self.shortest((then, closes, "")),
            "key": lambda closes: 0 if closes else 4,
            "text": lambda key: 1,
            "escape": lambda key: 2,
            "code": lambda key, digits: 1 + digits,
            "rest": lambda key, low, high, more: 2 + more,
            "colon": lambda: 2,
            "number": lambda part: part in OPEN_NUMBER,
            "word": len,
            "after": lambda: 0,
        }[reading]
        return int(ahead(*details)) + to_value + len(stack)

    def begin(self, byte, stack):
        return self.opened(byte, stack)

    def opened(self, byte, stack):
        if len(stack) < self.depth and byte in b"{[":
            return ("key" if byte == ord("{") else "value", True, stack + chr(byte))
        return None

    def value(self, byte, stack, closes):
        """closes: the array is empty so far and may end here"""
        if closes and byte == ord("]"):
            return ("after", stack[:-1])
        if byte == ord('"'):
            return ("text", False, stack)
        if byte in WORDS:
            return ("word", WORDS[byte], stack)
        if byte in b"-0123456789":
            return ("number", chr(byte) if byte in b"-0" else "1", stack)
        return self.opened(byte, stack)

    def key(self, byte, stack, closes):
        """closes: the object is empty so far and may end here"""
        if closes and byte == ord("}"):
            return ("after", stack[:-1])
        return ("text", True, stack) if byte == ord('"') else None

    def space(self, byte, stack, then, closes):
        """One space, or what comes after it."""
        return (then, closes, stack) if byte == ord(" ") else self.step((then, closes, stack), byte)

    def text(self, byte, stack, key):
        """Inside a string, which may be a key"""
        if byte == ord('"'):
            return ("colon", stack) if key else ("after", stack)
        if byte == ord("\\"):
            return ("escape", key, stack)
        if 0x20 <= byte < 0x80:
            return ("text", key, stack)
        return ("rest", key, *utf8(byte), stack) if utf8(byte) else None

    def escape(self, byte, stack, key):
        if byte == ord("u"):
            return ("code", key, 4, stack)
        return ("text", key, stack) if byte in b'"\\/bfnrt' else None

    def code(self, byte, stack, key, digits):
        """digits: how many of the four are to come"""
        if byte not in b"0123456789abcdefABCDEF":
            return None
        return ("code", key, digits - 1, stack) if digits > 1 else ("text", key, stack)

    def rest(self, byte, stack, key, low, high, more):
        """more: how many bytes of the character follow this one"""
        if not low <= byte <= high:
            return None
        return ("rest", key, 0x80, 0xBF, more - 1, stack) if more else ("text", key, stack)

    def colon(self, byte, stack):
        return ("space", "value", False, stack) if byte == ord(":") else None

    def number(self, byte, stack, part):
        for accepted, then in NUMBER[part]:
            if byte in accepted:
                return ("number", then, stack)
        return None if part in OPEN_NUMBER else self.after(byte, stack)

    def word(self, byte, stack, left):
        """left: what of true, false or null is to come"""
        if byte != left[0]:
            return None
        return ("word", left[1:], stack) if len(left) > 1 else ("after", stack)

    def after(self, byte, stack):
        """A value is over."""
        if stack and byte == ord(","):
            return ("space", "key" if stack[-1] == "{" else "value", False, stack)
        return ("after", stack[:-1]) if stack and byte == ord("}" if stack[-1] == "{" else "]") else None
