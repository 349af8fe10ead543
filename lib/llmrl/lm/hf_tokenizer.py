"""The same tokenizer, untrained, made of the parts of the tokenizers library.

That library is written in Rust and stands behind the fast tokenizers of transformers. Given the same pieces and the
same first 260 ids, its trainer has to find the same merges, because BPE leaves nothing to chance: ties go to the
smaller pair. Left out: its other models (WordPiece, Unigram) and what it can do to a text before it is cut.
"""

from llmrl.lm.pretokenize import PIECES, SPECIAL


def untrained(vocab_size, pattern=PIECES):
    """A tokenizer that knows nothing yet, and its trainer: tokenizer.train_from_iterator(texts, trainer)"""
    from tokenizers import Regex, Tokenizer, decoders, models, trainers
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    tokenizer = Tokenizer(models.BPE())
    in_pieces, in_bytes = Split(Regex(pattern), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer, tokenizer.decoder = Sequence([in_pieces, in_bytes]), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    return tokenizer, trainer
