"""What makes a notebook a lesson.

    from llmrl.lesson import begin, check, figure, rng, show, table
    lesson = begin("01_llm_basics/02_inside_the_transformer")

The kit knows no algorithm: it opens a lesson, proves claims, shows figures, tables and source, grades exercises and
remembers what was solved. Nothing heavy is imported before it is used.
"""

from llmrl.lesson import check
from llmrl.lesson.card import exercise_card
from llmrl.lesson.display import figure
from llmrl.lesson.first_cell import first_cell
from llmrl.lesson.grading import grade
from llmrl.lesson.opening import begin, budget
from llmrl.lesson.player import explore
from llmrl.lesson.source import show
from llmrl.lesson.tables import table
from llmrl.seeds import rng

__all__ = ["begin", "budget", "check", "exercise_card", "explore", "figure", "grade", "rng", "show", "table"]
__all__ += ["first_cell"]  # for whoever stamps notebooks
