"""Learning merges and encoding text, against the tokenizers library, which is written in Rust."""

import json

from bench.contest import Contest, agree, row


@row("tokenizer.encode", threads=(1,))
def against_tokenizers(quick):
    from tokenizers import Tokenizer

    from llmrl.toy import checkpoints, files

    text = files.read_text("heldout.txt")[: 2_000 if quick else 200_000]
    bpe, peer = checkpoints.tokenizer(), Tokenizer.from_file(str(checkpoints.folder("base") / "tokenizer.json"))
    agree("the ids", bpe.encode(text), peer.encode(text, add_special_tokens=False).ids)
    return Contest(lambda: bpe.encode(text), lambda: peer.encode(text), len(text.encode()) / 1e3, "kB/s", aim=1)


@row("tokenizer.train", threads=(1,))
def training(quick):
    """The corpus, document by document, to the course's vocabulary: cutting, counting and 252 merges."""
    from llmrl.lm.hf_tokenizer import untrained
    from llmrl.lm.pretokenize import SPECIAL, STAND_IN
    from llmrl.lm.tokenizer import BPE
    from llmrl.toy import files

    text, size = files.read_text("corpus.txt")[: 20_000 if quick else None], 300 if quick else 512
    lines = text.splitlines(keepends=True)

    def theirs():
        peer, trainer = untrained(size)
        peer.train_from_iterator(lines, trainer)
        return peer

    bpe, learned = BPE.train("<|endoftext|>".join(lines), size), json.loads(theirs().to_str())["model"]["merges"]
    names = [*SPECIAL, *("".join(STAND_IN[byte] for byte in token) for token in bpe.tokens[len(SPECIAL) :])]
    agree("the merges", [[names[left], names[right]] for left, right in bpe.merges], learned)
    joined = "<|endoftext|>".join(lines)
    return Contest(lambda: BPE.train(joined, size), theirs, len(text.encode()) / 1e3, "kB/s", aim=1)
