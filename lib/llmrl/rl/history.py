"""Seventy-five years in a data file: who found what, when, and where one can read it.

Every landmark names the paper that brought it, says in one sentence what was new, and the concept of this course in
which it runs. A landmark belongs to one of four strands: planning in a known world, learning by acting, deep networks,
and learning from people. The choice is ours; another hand would choose differently.
Left out: the psychology of learning before 1950, most of control theory, and everything without a number or a program.
"""

from dataclasses import dataclass, fields

from llmrl.toy import files

STRANDS = {"plan": "planning", "act": "learning by acting", "deep": "deep networks", "people": "language and people"}


@dataclass(frozen=True)
class Landmark:
    """One entry: the source is authors, title and venue, the year of the source its year."""

    year: int
    strand: str
    name: str
    says: str
    authors: str
    title: str
    venue: str
    concept: str

    @property
    def source(self):
        return f"{self.authors} ({self.year}), {self.title}, {self.venue}"


def landmarks(rows=None):
    """The landmarks in order of their years, or an error that names the entry and the rule it breaks."""
    rows = files.read_json("rl_history.json") if rows is None else rows
    found = [_landmark(row) for row in rows]
    years = [one.year for one in found]
    if years != sorted(years):
        late = next(b.name for a, b in zip(found, found[1:]) if b.year < a.year)
        raise ValueError(f"landmarks stand in the order of their years, and {late!r} comes too late")
    return found


def _landmark(row):
    wanted = [field.name for field in fields(Landmark)]
    missing = [key for key in wanted if not row.get(key)]
    if missing or len(row) != len(wanted):
        raise ValueError(f"a landmark needs {', '.join(wanted)}, and {row.get('name')!r} lacks {', '.join(missing)}")
    if not isinstance(row["year"], int) or not 1900 <= row["year"] <= 2100:
        raise ValueError(f"the year of {row['name']!r} must be a whole number from 1900 to 2100, got {row['year']!r}")
    if row["strand"] not in STRANDS:
        raise ValueError(f"the strand of {row['name']!r} must be one of {', '.join(STRANDS)}, got {row['strand']!r}")
    return Landmark(**row)
