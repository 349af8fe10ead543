"""A learner's function, called with care.

It gets copies of its arguments, so that changing them in place cannot fool a comparison; it may take only so long; and
an error in it is told with the learner's own line, without the paths of this machine. Left out: protection against
malice. This is the learner's own code in the learner's own kernel.
"""

import contextlib
import linecache
import re
import signal
import threading

SECONDS = 10  # for one grading
ADDRESS = re.compile(r" at 0x[0-9a-f]+|(?:[A-Za-z]:)?(?:[/\\][\w.\-]+)+[/\\]")


class NotAttempted(Exception):
    """The function is still the stub it was."""


class Mistaken(Exception):
    """The function failed before it gave an answer; the message is the sentence to show."""


class TimeUp(BaseException):
    """Beyond Exception, so that no `except Exception` of the learner's swallows it."""


class Attempt:
    """A function that is called on copies of its arguments and at first has to return something."""

    def __init__(self, function, signature):
        self.function, self.signature = function, signature
        self.last = None  # (args, kwargs, result) of the latest call

    def __call__(self, *args, **kwargs):
        try:
            result = self.function(*copied(args), **copied(kwargs))
        except Exception as error:
            raise (NotAttempted() if _unwritten(error) else Mistaken(self._told(error))) from error
        if self.last is None and (result is None or result is Ellipsis):  # later on, None may be the answer
            raise NotAttempted
        self.last = args, kwargs, result
        return result

    def _told(self, error):
        """What went wrong, and in which line of the learner's."""
        message = ADDRESS.sub("", str(error).splitlines()[0] if str(error) else "")[:200]
        said = f"{type(error).__name__}: {message}" if message else type(error).__name__
        frame = _last_frame(error, getattr(self.function, "__code__", None))
        if frame is None:
            return f"your function could not be called as {self.signature} ({said})"
        code = frame.tb_frame.f_code
        text = linecache.getline(code.co_filename, frame.tb_lineno).strip()
        line = f"line {frame.tb_lineno - code.co_firstlineno + 1} of {code.co_name}"
        return f"{line}" + (f", `{text}`," if text else "") + f" raised {said}"


def _unwritten(error):
    """A stub's own error: raise NotImplementedError, or arithmetic with the dots that stand for what is missing."""
    if isinstance(error, NotImplementedError):
        return " not implemented for " not in str(error)  # torch's words for a dtype it cannot handle
    return isinstance(error, TypeError) and "ellipsis" in str(error)


def _last_frame(error, code):
    """The innermost traceback entry that lies in the file (or cell) of the learner's function."""
    found, entry = None, error.__traceback__
    while entry is not None and code is not None:
        found = entry if entry.tb_frame.f_code.co_filename == code.co_filename else found
        entry = entry.tb_next
    return found


def copied(x):
    """A copy of tensors, arrays, generators and what holds them; anything else (a model, a function) as it is."""
    import torch

    if isinstance(x, torch.Tensor):
        return x.detach().clone().requires_grad_(x.requires_grad)
    if isinstance(x, torch.Generator):
        return torch.Generator(x.device).set_state(x.get_state())
    if isinstance(x, (list, tuple)) and not hasattr(x, "_fields"):
        return type(x)(map(copied, x))
    if isinstance(x, dict):
        return {key: copied(value) for key, value in x.items()}
    return x.copy() if type(x).__module__ == "numpy" and hasattr(x, "copy") else x


@contextlib.contextmanager
def within(seconds):
    """Raise TimeUp when the block takes longer, where the system has an alarm to set: Unix, main thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_):
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    left, again = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # rings again, should a bare except swallow it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, again)
        signal.signal(signal.SIGALRM, before)
