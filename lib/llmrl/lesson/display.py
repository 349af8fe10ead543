"""How a lesson puts something on the page.

A figure goes out as a PNG, which the comparison of notebooks skips, so it may hold trained numbers; its alt text lies
in the output's metadata, where screen readers and exported pages find it. Nothing else is sent along: no object's
address, no size of a window. Left out: SVG (compared, and different on every run) and interactive plotting libraries.
"""

import base64
import io
import sys

ALT = 15  # characters; fewer cannot describe a figure
PAPER = "background:#fff;color:#1a1a1a;"  # what HTML is written on: readable in light and dark themes alike


def emit(bundle, metadata=None):
    """Display a bundle of mime types, or print its text where there is no notebook."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display

    if InteractiveShell.initialized():
        display(bundle, raw=True, metadata=metadata or {})
    elif "text/plain" in bundle:
        print(bundle["text/plain"])


def png(fig):
    """A matplotlib figure as PNG bytes, the same bytes for the same figure."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def encoded(image):
    """Bytes as the base64 text that notebooks store."""
    return base64.b64encode(image).decode("ascii")


def described(alt):
    """alt, when it is long enough to stand for a picture."""
    if not isinstance(alt, str) or len(alt.strip()) < ALT:
        raise ValueError(
            f"alt has to say in {ALT} characters or more what the figure shows, got {alt!r}: name the axes and what "
            f"the reader should see, for example alt='Loss against step: it falls from 6.2 and flattens'"
        )
    return " ".join(alt.split())


def figure(fig, alt):
    """Display a figure with its alt text, and close it.  fig: a figure, or an axes or an array of axes on it"""
    alt = described(alt)
    fig = figure_of(fig)
    image = encoded(png(fig))
    close(fig)
    emit({"image/png": image}, {"image/png": {"alt": alt}})


def figure_of(drawn):
    """The figure that a figure, an axes, or an array of axes belongs to."""
    while hasattr(drawn, "flat"):
        drawn = drawn.flat[0]
    found = drawn if hasattr(drawn, "savefig") else getattr(drawn, "figure", None)
    if found is None:
        kind = type(drawn).__name__
        raise TypeError(f"figure() takes a matplotlib figure or axes, got {kind}: pass the fig of plt.subplots()")
    return found


def close(fig):
    """Take the figure from pyplot's list, so that no cell draws it a second time."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)
