"""Speculative decoding against plain cached decoding, both ours, both greedy, one text at a time."""

from bench.contest import Contest, agree, row
from llmrl.lm.drafts import ModelDraft, TableDraft
from llmrl.lm.generation import generate
from llmrl.lm.speculative import speculate
from llmrl.toy import checkpoints, files

AHEAD = {"model": 3, "table": 4}  # guesses per pass: fewer where each costs something


def beginnings(count):
    """The first tokens of texts that no model has read."""
    tokenizer = checkpoints.tokenizer()
    lines = files.read_text("heldout.txt").splitlines()
    return [tokenizer.encode("<|endoftext|>" + line)[:12] for line in lines[:: len(lines) // count][:count]]


def against_plain(draft, ahead, quick):
    """The same tokens, once with guesses and once without; the note says how many come from one pass of the target."""
    target, prompts, max_new = checkpoints.load("base"), beginnings(2 if quick else 12), 16 if quick else 64

    def guessed():
        return [speculate(target, draft, prompt, max_new, ahead) for prompt in prompts]

    def plain():
        return [generate(target, [prompt], max_new, stop=()).ids[0].tolist() for prompt in prompts]

    said = guessed()
    agree("the tokens", [one.ids for one in said], plain())
    tokens, passes = len(prompts) * max_new, sum(len(one.rounds) for one in said)
    note = f"{tokens / passes:.2f} tokens per pass of the target"
    return Contest(guessed, plain, tokens, "tokens/s", aim=1.3, note=note)


@row("speculative.model", threads=(1,))
def with_a_small_model(quick):
    """The draft has one layer, the target four."""
    from llmrl.studies import draft

    return against_plain(ModelDraft(draft.load()), AHEAD["model"], quick)


@row("speculative.table", threads=(1,))
def with_a_table(quick):
    """The draft is a table of what followed the last four tokens in a quarter of the corpus."""
    text = files.read_text("corpus.txt")[: 50_000 if quick else 1_000_000].replace("\n", "<|endoftext|>")
    tokenizer = checkpoints.tokenizer()
    return against_plain(TableDraft(tokenizer.encode(text), 4, len(tokenizer.tokens)), AHEAD["table"], quick)
