"""The library's own source, on the page.

No library code is copied into a notebook: a lesson shows the lines that run. The stored output is compared like any
other, so a page never shows code that is no longer what runs; after a change to the library, running the notebook again
refreshes it. Left out: links, which would name a host.
"""

import html
import inspect
import sys
import textwrap

from llmrl.lesson.display import PAPER, emit


def show(*things):
    """The library's own source of functions, classes or methods, highlighted."""
    if not things:
        raise TypeError("show() needs a function or a class: show(TinyLM)")
    found = [(_header(thing), _source(thing)) for thing in things]
    emit(
        {
            "text/html": "".join(_highlighted(header, source) for header, source in found),
            "text/plain": "\n\n".join(f"# {header}\n{source}" for header, source in found),
        }
    )


def _header(thing):
    name = f"{getattr(thing, '__module__', None)}.{getattr(thing, '__qualname__', thing)}"
    module = sys.modules.get(getattr(thing, "__module__", ""))
    if not name.startswith("llmrl."):
        return name
    folder = "/__init__" if hasattr(module, "__path__") else ""
    return f"{name} · lib/{module.__name__.replace('.', '/')}{folder}.py"


def _source(thing):
    try:
        return textwrap.dedent(inspect.getsource(thing))
    except (TypeError, OSError):
        kind = type(thing).__name__
        raise TypeError(
            f"show() takes a function, a method or a class written in Python, got {kind} {thing!r}: pass the function "
            f"itself, without calling it"
        ) from None


def _highlighted(header, source):
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    code = highlight(source, PythonLexer(), HtmlFormatter(noclasses=True, nowrap=True, style="default"))
    box = f"{PAPER}border:1px solid #ccc;border-radius:4px;margin:4px 0;"
    bar = "padding:4px 10px;background:#f2f2f2;color:#1a1a1a;font-family:monospace"
    return (
        f'<figure style="{box}"><figcaption style="{bar}">{html.escape(header)}</figcaption>'
        f'<pre style="{PAPER}margin:0;padding:8px 10px;overflow-x:auto;line-height:1.35">{code}</pre></figure>'
    )
