"""Write the shipped data files from their seed: `make data`.

The same command gives the same bytes on every machine. The world's seed is fixed: a lesson's seed changes what is drawn
from the world, never the world. Left out: checkpoints, which take minutes and are made by `make checkpoints`.
"""

import argparse
import json
from pathlib import Path

from llmrl.toy import corpus, files, preferences, tasks, telling
from llmrl.toy.facts import facts
from llmrl.toy.words import LANDS

SEED = "the world"
DOCUMENTS, HELD_OUT, ITEMS, TEST_ITEMS, TELLINGS, PAIRS = 36_000, 1_200, 6_000, 1_200, 2_000, 2_000


def corpus_text(n, purpose):
    return "\n".join(corpus.documents(n, f"{SEED} {purpose}")) + "\n"


def instructions():
    """Rows of the instruction set: conversations about tasks and lands, each marked train or test."""
    rows = []
    for split, n in (("train", ITEMS), ("test", TEST_ITEMS)):
        for item in tasks.items(tasks.MAKERS, n, f"{SEED} {split}", test=split == "test"):
            for steps in (False, True) if item.steps else (False,):
                rows.append(
                    {"split": split, "task": item.task, "messages": item.messages(steps), "answer": item.answer}
                )
    for messages in telling.conversations(TELLINGS, SEED):
        rows.append({"split": "train", "task": "tell", "messages": messages, "answer": ""})
    return rows


def as_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def build():
    """Every shipped file that text alone makes, as (name, contents)."""
    yield "corpus.txt", corpus_text(DOCUMENTS, "train")
    yield "heldout.txt", corpus_text(HELD_OUT, "held out")
    yield (
        "facts.json",
        json.dumps({land: {"told": land in LANDS, **known} for land, known in facts().items()}, indent=1) + "\n",
    )
    yield "instructions.jsonl", as_lines(instructions())
    yield "preferences.jsonl", as_lines(preferences.pairs(PAIRS, SEED))


def main():
    parser = argparse.ArgumentParser(description="Rebuild the shipped data files, byte for byte.")
    parser.add_argument("--into", type=Path, help="another folder than data/")
    into = parser.parse_args().into
    for name, contents in build():
        files.ship(name, contents, into)
        print(f"{name:20} {len(contents.encode()):>10,} bytes")


if __name__ == "__main__":
    main()
