"""Stopping at a string, wherever the borders of tokens fall.

A stop string is made of bytes, and tokens cut them as they like: the end of one token and the beginning of the next may
complete it, and the token that does may go on behind it. So the search runs over bytes, and a text that is shown while
it is written holds back every ending that a stop string may begin with, until more is known. Left out: batches.
"""


class StopStrings:
    """Takes tokens and gives out the text that is sure to stay: feed(token) for each, rest() at the end."""

    def __init__(self, tokens, stops):
        """tokens: the bytes of every token; stops: texts, of which the first to be complete ends the text"""
        if isinstance(stops, str) or not stops or not all(isinstance(stop, str) and stop for stop in stops):
            raise ValueError(f"stops must be a list of texts, none empty, got {stops!r}: ['\\n'] ends with the line")
        self.tokens, self.stops = tokens, [stop.encode() for stop in stops]
        self.held, self.stopped = b"", False

    def feed(self, token):
        """The bytes that this token makes sure of."""
        if self.stopped:
            raise ValueError("the text has stopped: make a new StopStrings for the next one")
        for byte in self.tokens[token]:
            self.held += bytes([byte])
            if ended := max((len(stop) for stop in self.stops if self.held.endswith(stop)), default=0):
                given, self.held, self.stopped = self.held[:-ended], b"", True
                return given
        sure = len(self.held) - open_ending(self.held, self.stops)
        given, self.held = self.held[:sure], self.held[sure:]
        return given

    def rest(self):
        """What was held back in vain."""
        given, self.held = self.held, b""
        return given


def open_ending(text, stops):
    """How many bytes at the end of a text may be the beginning of a stop."""
    longest = max(map(len, stops)) - 1
    return next((n for n in range(min(longest, len(text)), 0, -1) if any(s.startswith(text[-n:]) for s in stops)), 0)
