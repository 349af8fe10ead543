"""The first cell of every notebook: the same text, and the only one that knows the course may not be there yet.

With the course installed it imports the kit and begins. In Colab, where the notebook is alone, it first installs the
course without its requirements; begin() then adds the few that Colab lacks. Anywhere else it says where the course is.
The address stands in pyproject.toml; LLMRL_SOURCE overrides it, with a clone's path or any address pip takes.
Left out: a choice of what to import. All notebooks import the whole kit.
"""

from importlib import metadata

NAMES = ("begin", "budget", "check", "exercise_card", "explore", "figure", "grade", "rng", "show", "table")
TEMPLATE = '''\
try:
    import llmrl
except ModuleNotFoundError:  # this notebook is alone
    try:
        import google.colab
    except ModuleNotFoundError:
        raise ImportError("the course is not here: clone {address} and run `make lab`") from None
    import os, subprocess, sys
    course = os.environ.get("LLMRL_SOURCE", "git+{address}")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", course], check=True)

from llmrl.lesson import {names}
lesson = begin("{lesson}")
'''


def first_cell(lesson, names=NAMES):
    """The source of a lesson's first cell."""
    return TEMPLATE.format(address=repository(), names=", ".join(names), lesson=lesson)


def repository():
    """The address of the course, as pyproject.toml has it."""
    urls = metadata.metadata("llmrl").get_all("Project-URL") or []
    return next(url.partition(", ")[2] for url in urls if url.startswith("Repository, "))
