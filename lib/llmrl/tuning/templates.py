r"""Other ways to write a conversation down: a template as data, and the Jinja text that other libraries read.

A template says what stands before and behind a message of each role; rendering is the same for all of them. ChatML
marks its turns with control tokens, Alpaca (Taori et al. 2023) with headings in plain words. A model learns the one it
was tuned with and has no idea of the others. Every answer ends with <|im_end|>, whatever the template, because the
model has to learn one token with which to stop. Content is encoded as plain text and loses its outer spaces, as in
`chat`. Left out: the opening paragraph of Alpaca's prompts, tool calls, templates whose headers end in a space (the
space would melt into the next word).
"""

from dataclasses import dataclass

from llmrl.tuning import chat

STOP = "<|im_end|>"


@dataclass(frozen=True)
class Template:
    """What is written around a message: {role: text} before it and behind it; behind an answer stands STOP first."""

    name: str
    before: dict
    behind: dict

    def __post_init__(self):
        for place in ("before", "behind"):
            if missing := [role for role in chat.ROLES if role not in getattr(self, place)]:
                raise ValueError(
                    f"template {self.name!r} says nothing of {', '.join(missing)} {place} the message: "
                    f"give a text for each of {', '.join(chat.ROLES)}, '' for none"
                )
        if not self.behind["assistant"].startswith(STOP):
            raise ValueError(
                f"behind an answer template {self.name!r} must write {STOP} first, got {self.behind['assistant']!r}: "
                f"without it a model never learns to stop"
            )

    def render(self, messages, tokenizer=None):
        """Messages {"role", "content"} -> (ids, answer_mask), lists of one length."""
        tokenizer = chat.or_own(tokenizer)
        ids, mask = [], []
        for role, content in chat.turns(messages):
            before, behind = (tokenizer.encode(text[role]) for text in (self.before, self.behind))
            words = tokenizer.encode(content, special=False)
            learned = len(words) + 1 if role == "assistant" else 0  # the words and the token that ends them
            ids += before + words + behind
            mask += [len(before) <= i < len(before) + learned for i in range(len(before + words + behind))]
        return ids, mask

    def prompt_ids(self, messages, tokenizer=None):
        """The conversation so far and what stands before an answer."""
        tokenizer = chat.or_own(tokenizer)
        return self.render(messages, tokenizer)[0] + tokenizer.encode(self.before["assistant"])

    def jinja(self):
        """The same template as the text that transformers' apply_chat_template reads."""
        turns = "".join(
            f"{{% {'if' if role == chat.ROLES[0] else 'elif'} message['role'] == '{role}' %}}{self._turn(role)}"
            for role in chat.ROLES
        )
        asked = f"{{% if add_generation_prompt %}}{quoted(self.before['assistant'])}{{% endif %}}"
        return f"{{% for message in messages %}}{turns}{{% endif %}}{{% endfor %}}{asked}"

    def _turn(self, role):
        before, behind, content = self.before[role], self.behind[role], "{{ message['content'] | trim }}"
        if role != "assistant":
            return quoted(before) + content + quoted(behind)
        answer = f"{{% generation %}}{content}{quoted(STOP)}{{% endgeneration %}}"
        return quoted(before) + answer + quoted(behind.removeprefix(STOP))


def quoted(text):
    """A text as a Jinja expression, so that no line break of it is lost."""
    return f"{{{{ {text!r} }}}}" if text else ""


CHATML = Template(
    "ChatML",
    {role: f"<|im_start|>{role}\n" for role in chat.ROLES},
    dict.fromkeys(chat.ROLES, f"{STOP}\n"),
)
ALPACA = Template(
    "Alpaca",
    {"system": "", "user": "### Instruction:\n", "assistant": "### Response:\n"},
    {"system": "\n\n", "user": "\n\n", "assistant": f"{STOP}\n\n"},
)


def spelled(ids, tokenizer=None):
    """The same text with its control tokens spelled out, letter by letter: what a wrong call to a tokenizer makes."""
    tokenizer = chat.or_own(tokenizer)
    return tokenizer.encode(tokenizer.decode(ids), special=False)
