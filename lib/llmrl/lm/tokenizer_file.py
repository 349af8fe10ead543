"""A tokenizer as a folder of the hub: tokenizer.json says how to cut and merge, tokenizer_config.json how to chat.

The fields are those of the tokenizers and transformers libraries, which read the folder as it is. Only the merges are
ours to choose; everything else in the file follows from them, so a file is recognised by rebuilding it.
Left out: every option of those libraries that this tokenizer does not need.
"""

from llmrl.lm.pretokenize import PIECES, SPECIAL, STAND_IN

CHAT_TEMPLATE = (  # ChatML; {% generation %} marks what the assistant says, and so what is trained on
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] | trim + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] | trim + '<|im_end|>' }}{% endif %}"
    "{{ '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "pad_token": "<|pad|>",
    "eos_token": "<|im_end|>",  # where an answer ends
    "clean_up_tokenization_spaces": False,
    "chat_template": CHAT_TEMPLATE,
}


def document(merges, pattern=PIECES):
    """The contents of tokenizer.json."""
    names = [*SPECIAL, *STAND_IN.values()]
    for left, right in merges:
        names.append(names[left] + names[right])
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    in_pieces = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    in_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": name, **special} for i, name in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [in_pieces, in_bytes]},
        "post_processor": None,
        "decoder": in_bytes,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,  # every byte is a token of its own, so there is nothing to fall back from
            "ignore_merges": False,
            "vocab": {name: i for i, name in enumerate(names)},
            "merges": [[names[left], names[right]] for left, right in merges],
        },
    }


def merges_of(found, pattern=PIECES):
    """The merges of a document that says exactly what `document` would say of them; None for any other document."""
    try:
        vocabulary = found["model"]["vocab"]
        merges = [(vocabulary[left], vocabulary[right]) for left, right in found["model"]["merges"]]
        expected = document(merges, pattern)
        same = all(found[key] == expected[key] for key in ("added_tokens", "normalizer", "pre_tokenizer", "model"))
        adds_tokens = (found["post_processor"] or {}).get("special_tokens")  # transformers writes one that adds none
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return merges if same and not adds_tokens else None
