r"""A conversation as one row of ids: the chat template.

ChatML writes each message as <|im_start|>role, a line break, the content, <|im_end|> and a line break. The mask is True
on what the model has to learn to write: the assistant's words and the <|im_end|> with which it stops. Content is
encoded as plain text, so a message that spells out <|im_end|> stays one message. A template that is first written out
as one string, as transformers does it, lets such a message close its own turn and open another in any role: prompt
injection. Content loses its outer spaces, as in Llama 3's template, so that the header's line break never melts into
the first word, and a prompt is always a prefix of the conversation it grows into.
Left out: tool calls. Other templates are in `templates`; this one's text is saved with the tokenizer
(llmrl.lm.tokenizer_file).
"""

ROLES = ("system", "user", "assistant")


def exchange(prompt, answer):
    """One question and its answer, as messages."""
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def render(messages, tokenizer=None):
    """Messages {"role", "content"} -> (ids, answer_mask), lists of one length. None is the course's own tokenizer."""
    tokenizer = or_own(tokenizer)
    line_break = tokenizer.encode("\n")
    ids, mask = [], []
    for role, content in turns(messages):
        header = _header(role, tokenizer)
        words = [*tokenizer.encode(content, special=False), tokenizer.im_end_id]
        ids += header + words + line_break
        mask += [False] * len(header) + [role == "assistant"] * len(words) + [False] * len(line_break)
    return ids, mask


def prompt_ids(messages, tokenizer=None):
    """The conversation so far and the header of an answer: what the model is asked to continue."""
    tokenizer = or_own(tokenizer)
    return render(messages, tokenizer)[0] + _header("assistant", tokenizer)


def parse(ids, tokenizer=None):
    """Ids back to messages; what stands between messages is skipped, and the last one may still be open."""
    tokenizer = or_own(tokenizer)
    turns, inside = [], False
    for i in ids.tolist() if hasattr(ids, "tolist") else ids:
        if i in (tokenizer.im_start_id, tokenizer.im_end_id):
            inside = i == tokenizer.im_start_id
            turns += [[]] if inside else []
        elif inside:
            turns[-1].append(i)
    parts = [tokenizer.decode(turn).partition("\n") for turn in turns]
    return [{"role": role, "content": content.strip()} for role, _, content in parts]


def _header(role, tokenizer):
    return [tokenizer.im_start_id, *tokenizer.encode(f"{role}\n")]


def or_own(tokenizer):
    """The tokenizer, or the course's own where none is given."""
    if tokenizer is not None:
        return tokenizer
    from llmrl.toy import checkpoints

    return checkpoints.tokenizer()


def turns(messages):
    """(role, content) of each message, once it is known to be one."""
    example = '[{"role": "user", "content": "What is 2+3?"}]'
    if not isinstance(messages, (list, tuple)) or not messages:
        raise ValueError(f"a conversation is a list of one message or more, got {messages!r}: write {example}")
    for at, message in enumerate(messages):
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise ValueError(f"message {at} must have a role and a content, got {message!r}: write {example}")
        role, content = message["role"], message["content"]
        if role not in ROLES:
            raise ValueError(f"message {at} has the role {role!r}: the roles are {', '.join(ROLES)}")
        if not isinstance(content, str):
            raise TypeError(f"message {at} must have text as its content, got {content!r}: write a str")
        if role == "assistant" and not content.strip():
            raise ValueError(
                f"message {at} is an empty answer, {content!r}, which teaches the model to say nothing: give it words, "
                "or leave the message out and ask for an answer with prompt_ids(messages)"
            )
        yield role, content.strip()
