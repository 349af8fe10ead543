"""Exercises on language models, one module per lesson."""
