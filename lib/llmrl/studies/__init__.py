"""Results that take minutes to make and seconds to look at: each is made once, shipped in data/studies/, re-checked.

A study is a module with a function `make(kept)`: `kept` remembers finished parts, so that an interrupted study goes on
where it stopped. `python -m llmrl.studies` makes them all, with a name only that one. A lesson reads what is shipped
and measures a part of it anew. Left out: results that fit into a lesson's own ninety seconds.
"""
