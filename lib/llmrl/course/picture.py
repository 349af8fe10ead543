"""The map of the course as a picture: a row per chapter, a box per notebook, as wide as it is long to read.

Drawn from the curriculum, so it is never out of date: a full box is a notebook that stands, an open one is planned.
Left out: the single concepts, which `python -m llmrl coverage` lists.
"""

import matplotlib.pyplot as plt

from llmrl.lesson.style import ROLES


def draw_map(course, ax=None):
    """Draw the chapters of a curriculum.Map; returns the axes."""
    if ax is None:
        _, ax = plt.subplots(figsize=(7.5, 0.72 * len(course.chapters) + 0.9))
    for row, chapter in enumerate(course.chapters):
        ax.text(0, row - 0.34, f"{row + 1}  {chapter.title}", fontsize=12, fontweight="bold", va="bottom")
        start = 0
        for number, lesson in enumerate(chapter.lessons, 1):
            _box(ax, row, start, lesson, number)
            start += lesson.minutes
        ax.text(start + 8, row, f"{chapter.minutes / 60:.0f} h", va="center", fontsize=11)
    ax.set_ylim(len(course.chapters) - 0.4, -0.85)
    ax.set_xlim(-4, max(chapter.minutes for chapter in course.chapters) + 50)
    ax.axis("off")
    return ax


def _box(ax, row, start, lesson, number):
    """One notebook: its number in a box, full when every concept of it stands."""
    stands = bool(lesson.concepts) and all(concept.stands for concept in lesson.concepts)
    face, ink = (ROLES["policy"], "white") if stands else ("white", "#444444")
    ax.barh(row, lesson.minutes - 3, left=start, height=0.56, color=face, edgecolor=ROLES["policy"], linewidth=1.2)
    ax.text(start + lesson.minutes / 2 - 1.5, row, str(number), ha="center", va="center", color=ink, fontsize=11)
