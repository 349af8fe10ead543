"""Language models: tokens, the model, decoding, evaluation."""
