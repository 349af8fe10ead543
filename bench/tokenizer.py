"""Encoding text, against the tokenizers library, which is written in Rust."""

from bench.contest import Contest, agree, row


@row("tokenizer.encode", threads=(1,))
def against_tokenizers(quick):
    from tokenizers import Tokenizer

    from llmrl.toy import checkpoints, files

    text = files.read_text("heldout.txt")[: 2_000 if quick else 200_000]
    bpe, peer = checkpoints.tokenizer(), Tokenizer.from_file(str(checkpoints.folder("base") / "tokenizer.json"))
    agree("the ids", bpe.encode(text), peer.encode(text, add_special_tokens=False).ids)
    return Contest(lambda: bpe.encode(text), lambda: peer.encode(text), len(text.encode()) / 1e3, "kB/s", aim=1)
