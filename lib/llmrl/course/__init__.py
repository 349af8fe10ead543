"""The course about itself: its map, its rules, running its notebooks, and what to do when something is wrong.

Nothing here teaches anything. `python -m llmrl` is the way in. Left out: the lessons, which live in `llmrl.lesson`
and in the notebooks.
"""
