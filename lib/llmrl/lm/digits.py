r"""How a number is cut into tokens, and what place value each token then has.

A token of three digits is a digit in base 1000, and a model has to learn what each of the thousand means. Cut from the
left, the same token stands for different place values in numbers of different length; cut from the right it always
stands for the same one; and merges learned from text cut wherever the text happened to repeat itself. One token per
digit is what this course does, and LLaMA (Touvron et al. 2023); groups of up to three from the left are what GPT-4's
and Llama 3's expressions make. Left out: signs, decimal points, scientific notation.
"""

from llmrl.lm.pretokenize import PIECES

NUMBERS = {  # what PIECES says about digits, and three other ways
    "each digit apart": "[0-9]",
    "threes from the left": "[0-9]{1,3}",
    "threes from the right": "[0-9]{1,3}(?=(?:[0-9]{3})*(?![0-9]))",
    "runs kept together": "[0-9]+",
}


def pattern(numbers):
    """The expression for pieces that cuts numbers in one of these ways."""
    if numbers not in NUMBERS:
        raise ValueError(f"numbers must be cut in one of the ways {', '.join(NUMBERS)}, got {numbers!r}")
    return PIECES.replace(NUMBERS["each digit apart"], NUMBERS[numbers], 1)


def threes(digits):
    """Groups of three from the right, as people write them: "1234567" -> ["1", "234", "567"]."""
    if not isinstance(digits, str) or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"digits must be a text of the digits 0 to 9, at least one, got {digits!r}: write str(number)")
    first = len(digits) % 3
    return ([digits[:first]] if first else []) + [digits[i : i + 3] for i in range(first, len(digits), 3)]


def parts(tokenizer, number):
    """The text of each token of a whole number, from the left: 1995 -> ("19", "95")."""
    return tuple(tokenizer.decode([i]) for i in tokenizer.encode(str(number)))


def places(tokenizer, number):
    """What power of ten each token counts: ("19", "95") -> (2, 0), for 19 hundreds and 95 ones."""
    lengths = [len(part) for part in parts(tokenizer, number)]
    return tuple(sum(lengths[i + 1 :]) for i in range(len(lengths)))


def aligned(tokenizer, a, b):
    """Whether two numbers of one length are cut at the same places, so that they can be added token by token."""
    return places(tokenizer, a) == places(tokenizer, b)
