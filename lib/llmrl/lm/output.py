"""The output layer: from what the model holds at the last position to the token it says next.

The vector of the last position is compared with the embedding of every token of the vocabulary (one matrix product);
softmax turns these scores into probabilities; the largest is the model's first choice. The positions before it predict
tokens that are already there. Left out: drawing at random, which is decoding's business.

Shapes: B sequences, T positions, D width, V vocabulary.
"""


def next_token(hidden, embedding):
    r"""$p=\mathrm{softmax}(h_T E^\top)$ and its best token.  hidden (B, T, D), embedding (V, D) -> (B, V), (B,)"""
    logits = hidden[:, -1] @ embedding.T  # (B, V)
    return logits.softmax(-1), logits.argmax(-1)
